"""
A service that must not notice, another that may be killed, and an agent that watches both: what `chaos` besets.

The storage of the agent is a file system of its own, small enough to be filled, where this user may mount one.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from bench.harness import PROBE, Process, free_ports, wait_for, web_service
from vitalsd.cli.memray_parts import own_memray

__all__ = ["BUSY", "Agent", "Watched", "Witness", "small_disk"]

DISK = "size=96m"
BUSY = ("overload", "stalling", "closed", "host")
"""Refusals that are about the moment."""
LOOK_SECONDS = 0.002
ANSWER_SECONDS = 10.0
END_SECONDS = 20.0


@contextlib.contextmanager
def small_disk(folder: Path, how: str = DISK) -> Iterator[bool]:
    """Mount one there if that may be done; whether it is one."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", how, "vitalsd-bench", str(folder)]
    mounted = subprocess.run(["mount", *options], check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


class Witness:
    """Asks the service without a pause, and looks at its state, until the end."""

    def __init__(self, service: Process) -> None:
        self.requests = self.unanswered = self.looks = self.stopped = 0
        self.longest_seconds = 0.0
        self._service = service
        self._over = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._ask, self._look)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.wait(0.01):
            began = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=ANSWER_SECONDS)
            try:
                connection.request("GET", "/")
                answered = connection.getresponse().read() == b"hello\n"
            except (OSError, http.client.HTTPException):
                answered = False
            finally:
                connection.close()
            self.requests += 1
            self.unanswered += not answered
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)

    def _look(self) -> None:
        stat = Path(f"/proc/{self._service.pid}/stat")
        while not self._over.wait(LOOK_SECONDS):
            self.looks += 1
            self.stopped += stat.read_text().rpartition(")")[2].split()[0] in "Tt"


class Watched:
    """A web service with a probe in it, that comes back under its port when it was killed."""

    def __init__(self, segments: Path, app: str = "web") -> None:
        self._stack = contextlib.ExitStack()
        self._app = app
        memray = own_memray()
        assert memray is not None, "memray is a dependency"
        self._environment = {**PROBE, "VITALSD_DIR": str(segments), "VITALSD_MEMRAY": memray}
        self.process = self._begin()

    def _begin(self) -> Process:
        return self._stack.enter_context(web_service("uvicorn", app=self._app, extra=self._environment))

    def begin_again(self) -> None:
        """Another in its place."""
        self.close()
        self.process = self._begin()

    def kill(self) -> None:
        """As the kernel does."""
        os.kill(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it."""
        self._stack.close()


class Agent:
    """`vitalsd watch`, its control port, and the targets that it is to know."""

    def __init__(self, folder: Path, storage: Path, segments: Path, targets: Sequence[str]) -> None:
        self.storage = storage
        self.metrics_port, self.control_port = free_ports(2)
        self._folder = folder
        self._segments = segments
        self._targets = targets
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def exporters(self) -> str:
        """Of the configuration: where it listens."""
        ports = {"prometheus": self.metrics_port, "control": self.control_port}
        return ", ".join(f'{name}: {{listen: "127.0.0.1:{port}"}}' for name, port in ports.items())

    def configure(self, text: str) -> None:
        """What holds from the next beginning, or the next reload, on."""
        (self._folder / "vitalsd.yaml").write_text(text)

    def begin(self, before: Sequence[str] = (), extra: Mapping[str, str] | None = None) -> None:
        """Start it, by the command that stands `before` and with this environment beside its own."""
        command = [*before, str(Path(sys.executable).with_name("vitalsd")), "watch", "--config", "vitalsd.yaml"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VITALSD")}
        environment |= {"VITALSD_DIR": str(self._segments), **(extra or {})}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def wait_known(self) -> None:
        """Until it knows all targets."""
        wait_for(self.knows_all, "the agent to know all targets")

    @property
    def log(self) -> Path:
        """What it and those before it have said."""
        return self._folder / "agent.log"

    def kill(self) -> None:
        """As the kernel does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def wait_ended(self) -> None:
        """Until somebody else has ended it."""
        assert self._process is not None
        self._process.wait(END_SECONDS)

    def end(self) -> None:
        """In order, as a supervisor does."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def runs(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the agent."""
        assert self._process is not None
        return self._process.pid

    def helpers(self) -> list[int]:
        """Processes that it has started."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(each) for each in children.read_text().split()] if children.exists() else []

    def knows_all(self) -> bool:
        """Whether it tells of every target that it is up, by its probe."""
        return all(map(self._knows, self._targets))

    def _knows(self, target: str) -> bool:
        try:
            status, told = self.ask("GET", f"/api/v1/targets/{target}")
        except (OSError, http.client.HTTPException):
            return False
        return status == 200 and any(each["up"] and each["probe"] for each in told["workers"])

    def answer(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Of the control port."""
        token = next(self.storage.glob("control-*.token")).read_text().strip() if self.storage.exists() else ""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The same, read."""
        try:
            status, text = self.answer(method, path, body)
        except StopIteration:
            raise ConnectionRefusedError("there is no token yet") from None
        return status, json.loads(text)

    def capture(self, kind: str, target: str, seconds: float, patience_seconds: float = 60.0) -> dict[str, Any]:
        """Ask for one until it is taken; one that is refused for good is the answer, too."""
        until = time.monotonic() + patience_seconds
        wanted = {"kind": kind, "target": target, "seconds": seconds, "force": True}
        while True:
            status, told = self.ask("POST", "/api/v1/captures", wanted)
            if status == 202:
                return dict(told)
            if told.get("refusal") not in BUSY or time.monotonic() > until:
                return dict(told.get("capture", {"state": "refused", "problem": told["error"]}))
            time.sleep(1.0)

    def state(self, name: str) -> dict[str, Any]:
        """One capture as it is now; what was asked just before an agent was killed may not be written down."""
        status, told = self.ask("GET", f"/api/v1/captures/{name}")
        return {"state": "unknown"} if status == 404 else dict(told)

    def wait(self, name: str, *states: str) -> dict[str, Any]:
        """Until it is in one of these states."""
        wait_for(lambda: self.state(name)["state"] in states, f"capture {name} to be {states}", 150.0)
        return self.state(name)

    def damaged(self) -> list[str]:
        """Files that are listed and are not what is said of them, and what lies there and is not listed."""
        _, told = self.ask("GET", "/api/v1/captures?limit=1000")
        found = []
        for capture in told["captures"]:
            for each in capture["artifacts"]:
                status, body = self.answer("GET", f"/api/v1/captures/{capture['id']}/files/{each['name']}")
                if (status, hashlib.sha256(body).hexdigest()) != (200, each["sha256"]):
                    found.append(f"{capture['id']}/{each['name']}")
        listed = {capture["id"] for capture in told["captures"] if capture["artifacts"]}
        (root,) = [path for path in self.storage.glob("captures-*") if path.is_dir()]
        return found + sorted({path.name for path in root.iterdir()} - listed)
