"""A real Alertmanager, to be started and stopped, and one that only pretends, to be as bad as a test needs."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from support.prometheus import tool
from support.waiting import wait_for

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

SILENT = """\
route: {receiver: nobody}
receivers: [{name: nobody}]
"""


class Alertmanager:
    """A server that runs, or has."""

    def __init__(self, port: int, folder: Path, config: str = SILENT) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        (folder / "config.yml").write_text(config)

    def start(self) -> None:
        """Start it, with what it has stored before, and wait until it takes alerts."""
        command = [
            tool("prometheus-alertmanager"),
            f"--config.file={self._folder / 'config.yml'}",
            f"--storage.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]
        log_file = self._folder / "log"
        with log_file.open("a") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder)
        self._process = process
        wait_for("Alertmanager to be ready", lambda: process.poll() is not None or self.is_ready(), 60)
        assert process.poll() is None, log_file.read_text()

    def stop(self, number: int = signal.SIGKILL) -> None:
        """Kill it; SIGTERM lets it store what it has told people."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """One request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            sent = json.dumps(body) if body is not None else None
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def is_ready(self) -> bool:
        """Whether it takes alerts."""
        try:
            return self.ask("GET", "/-/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def fire(self, *alerts: dict[str, Any]) -> None:
        """Have these fire, or be resolved where they say when."""
        status, body = self.ask("POST", "/api/v2/alerts", alerts)
        assert status == 200, body

    def alerts(self) -> list[dict[str, Any]]:
        """All that fire."""
        found: list[dict[str, Any]] = json.loads(self.ask("GET", "/api/v2/alerts")[1])
        return found

    def fingerprints(self) -> set[str]:
        """Of all that fire."""
        return {each["fingerprint"] for each in self.alerts()}

    def amtool(self, *arguments: str) -> str:
        """What amtool says."""
        command = [tool("amtool"), f"--alertmanager.url={self.url}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=self._folder).stdout

    def sent(self) -> float:
        """How many notifications were sent, or tried to."""
        return self._count("alertmanager_notifications_total")

    def failed(self) -> float:
        """How many of them came to nothing."""
        return self._count("alertmanager_notifications_failed_total")

    def _count(self, name: str) -> float:
        lines = self.ask("GET", "/metrics")[1].decode().splitlines()
        start = f'{name}{{integration="webhook"'
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


@contextlib.contextmanager
def alertmanager(port: int, folder: Path, config: str = SILENT) -> Iterator[Alertmanager]:
    """One that runs; it is killed at the end."""
    server = Alertmanager(port, folder, config)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class Pretender:
    """Answers as it is told to, after as long as it is told to, and keeps what it was sent."""

    def __init__(self, status: int = 200, delay_seconds: float = 0.0, tls: ssl.SSLContext | None = None) -> None:
        self.status = status
        self.delay_seconds = delay_seconds
        self.text = "no"
        self.refuses: Callable[[list[dict[str, Any]]], bool] = lambda _body: False
        """Which messages it answers with 400, whatever it is told to answer."""
        self.bodies: list[list[dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = self._now = 0
        self._turn = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://{'localhost' if tls else '127.0.0.1'}:{self.port}"

    def sent(self) -> list[dict[str, Any]]:
        """Every alert of every message, in the order in which they came."""
        return [alert for body in list(self.bodies) for alert in body]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        pretender = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                with pretender._turn:
                    pretender._now += 1
                    pretender.most_at_once = max(pretender.most_at_once, pretender._now)
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                pretender.headers.append({**self.headers, "path": self.path})
                pretender.bodies.append(body)
                # Until then, or until whoever asked has hung up.
                select.select([self.connection], [], [], pretender.delay_seconds)
                with pretender._turn:
                    pretender._now -= 1
                status = 400 if pretender.refuses(body) else pretender.status
                answer = pretender.text.encode() if status != 200 else b""
                with contextlib.suppress(OSError):  # who asked has not waited
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
