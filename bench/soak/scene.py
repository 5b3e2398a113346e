"""
What the soak watches, and the agent that watches: services of both runtimes, twins that have no probe, and sinks.

The agent has its default settings, its ways out, and a storage of its own on a disk; what it pushes, a sink takes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from bench.ground import MemoryGroup
from bench.harness import NODE_PROBE, PROBE, Process, free_port, free_ports, listens, process, wait_for
from vitalsd.cli.memray_parts import own_memray

__all__ = ["Agent", "Cast", "Service", "Sink"]

ANSWER_SECONDS = 30.0
SETTINGS = """
targets:
  - {{name: shop, match: "gunicorn.*--bind 127.0.0.1:{shop}"}}
  - {{name: api, match: "uvicorn.*--port ({api})$"}}
  - {{name: web, match: "web\\\\.js ({web})$"}}
storage: {{dir: {storage}}}
exporters:
  prometheus: {{listen: "127.0.0.1:{metrics}"}}
  control: {{listen: "127.0.0.1:{control}"}}
  alertmanager: {{peers: [{{url: "http://127.0.0.1:{sink}"}}]}}
  otlp: {{endpoint: "http://127.0.0.1:{sink}"}}
"""
BEGIN_SECONDS = 120.0
"""A crowded host starts twenty interpreters slowly."""


class Service:
    """One that is asked over HTTP, and comes back under its port when it is begun again."""

    def __init__(self, command: Sequence[str], port: int, extra: Mapping[str, str], workers: int = 1) -> None:
        self.port, self.workers = port, workers
        self.rest = threading.Lock()
        """Held by who asks it, and by who begins it again: nobody is refused for that."""
        self._command, self._extra = command, extra
        self._stack = contextlib.ExitStack()
        self.process = self._begin()

    def _begin(self) -> Process:
        begun = process(self._command, self._extra, ready=lambda: listens(self.port), port=self.port)
        return self._stack.enter_context(begun)

    def begin_again(self) -> None:
        """Another in its place."""
        self.close()
        self.process = self._begin()

    def close(self) -> None:
        """End it."""
        self._stack.close()

    def ask(self, path: str = "/") -> bool:
        """Whether it has answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().read() == b"hello\n"
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _probed(way: Mapping[str, str], segments: Path | None) -> dict[str, str]:
    if segments is None:
        return {}
    memray = own_memray()
    return {**way, "VITALSD_DIR": str(segments), **({"VITALSD_MEMRAY": memray} if memray else {})}


def pool(workers: int, segments: Path) -> Service:
    """Workers of uvicorn below a gunicorn."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "web:app", "--no-control-socket", "--workers", str(workers)]
    command += ["--worker-class", "uvicorn.workers.UvicornWorker", "--bind", f"127.0.0.1:{port}"]
    return Service(command, port, _probed(PROBE, segments), workers)


def single(segments: Path | None) -> Service:
    """An uvicorn; without a folder for its segment it has no probe."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "web:app", "--log-level", "warning", "--no-access-log"]
    return Service([*command, "--port", str(port)], port, _probed(PROBE, segments))


def node(segments: Path | None) -> Service:
    """A server of Node, likewise."""
    port = free_port()
    return Service(["node", "web.js", str(port)], port, _probed(NODE_PROBE, segments))


class Cast:
    """All services: the first of each kind has a twin without a probe, and nothing but light traffic."""

    def __init__(self, segments: Path, workers: int, singles: int, nodes: int) -> None:
        self.shop = pool(workers, segments)
        self.api = [single(segments) for _ in range(singles)]
        self.web = [node(segments) for _ in range(nodes)]
        without = node(None)
        self.twins = {
            "a probe in Python": (self.api[0], single(None)),
            "a probe in Node": (self.web[0], without),
            "two Nodes": (node(None), without),
        }

    @property
    def all(self) -> list[Service]:
        """Each of them."""
        return [
            *dict.fromkeys(
                [self.shop, *self.api, *self.web, *(each for pair in self.twins.values() for each in pair)]
            )
        ]

    def close(self) -> None:
        """End them."""
        for each in self.all:
            each.close()


class Sink:
    """An Alertmanager and a collector of OTLP that take everything and keep nothing."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Taking)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Agent:
    """`vitalsd watch` with default settings."""

    def __init__(self, folder: Path, cast: Cast, sink: Sink) -> None:
        self.storage = folder / "storage"
        self.metrics_port, self.control_port = free_ports(2)
        self._file = folder / "vitalsd.yaml"
        many = {"api": cast.api, "web": cast.web}
        ports = {name: "|".join(str(each.port) for each in services) for name, services in many.items()}
        numbers = {"shop": cast.shop.port, "metrics": self.metrics_port, "control": self.control_port, **ports}
        self._file.write_text(SETTINGS.format(storage=self.storage, sink=sink.port, **numbers))
        self._workers = {"shop": cast.shop.workers, "api": len(cast.api), "web": len(cast.web)}

    def begun(self, segments: Path, group: MemoryGroup | None) -> contextlib.AbstractContextManager[Process]:
        """Running, in the group if there is one, with every worker known."""
        command = [str(Path(sys.executable).with_name("vitalsd")), "watch", "--config", str(self._file)]
        whole = group.command(*command) if group is not None else command
        return process(whole, {"VITALSD_DIR": str(segments)})

    def wait(self) -> None:
        """Until it knows every worker, and a probe in each."""
        wait_for(lambda: all(map(self._knows, self._workers)), "the agent to know every worker", BEGIN_SECONDS)

    def _knows(self, target: str) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException, StopIteration):
            return len(self.workers(target)) == self._workers[target]
        return False

    def workers(self, target: str) -> dict[str, int]:
        """Slot -> pid of workers that are up and have a probe."""
        status, told = self.ask("GET", f"/api/v1/targets/{target}")
        workers = told["workers"] if status == 200 else []
        return {each["slot"]: each["key"]["pid"] for each in workers if each["up"] and each["probe"]}

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            text = json.dumps(body) if body is not None else None
            connection.request(method, path, text, {**self.key(), "Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or "null")

    def key(self) -> dict[str, str]:
        """What opens it. Raises StopIteration before there is one."""
        token = next(self.storage.glob("control-*.token")).read_text().strip()
        return {"Authorization": f"Bearer {token}"}
