"""
A service whose workers leak or hang, the agent that recycles them, clients that count, and somebody who looks on.

Uses app_leaks.py of tests/targets. A day is a minute here.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
from bench.harness import free_ports

from support.agent import Agent, Service, running
from support.captured import state_of
from support.load import Load
from support.probed import TARGETS
from support.waiting import wait_for
from vitalsd.cli.run import LAUNCH

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_TEST_SECONDS = 400
"""A day has to pass, which is longer than a test may take otherwise."""
YOUNG_SECONDS = 65.0
"""A leak is told from what a process is by its first day."""
QUICKLY = {
    "VITALSD__SAMPLING__INTERVAL": "150ms",
    "VITALSD__MEMORY__DAY": "60s",
    "VITALSD__MEMORY__SETTLE": "3s",
    "VITALSD__MEMORY__EXHAUSTION": "60s",
    "VITALSD__WORKERS__SETTLE": "3s",
}


class Witness:
    """Looks at the children of a master again and again: who was there, and how few at once."""

    def __init__(self, master: int) -> None:
        self._children = Path(f"/proc/{master}/task/{master}/children")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._helps: dict[int, bool] = {}
        self.seen: list[int] = []
        self.fewest = 1_000

    def _look(self) -> None:
        while not self._over.wait(0.02):
            children = map(int, self._children.read_text().split())
            alive = [pid for pid in children if self._is_worker(pid)]
            self.seen += [pid for pid in alive if pid not in self.seen]
            self.fewest = min(self.fewest, len(alive))

    def _is_worker(self, pid: int) -> bool:
        try:
            if pid not in self._helps:
                self._helps[pid] = b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
            return state_of(pid) != "Z" and not self._helps[pid]
        except (FileNotFoundError, ProcessLookupError):
            return False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()


class World:
    """A gunicorn with three workers, its agent, and clients."""

    def __init__(self, folder: Path, leaks: str, **remedy: str) -> None:
        self.start = folder / "leak"
        keys = {f"VITALSD__REMEDY__{name.upper()}": value for name, value in remedy.items()}
        self.agent = Agent(folder, {"LEAKS": leaks, "LEAKS_FROM": str(self.start), **QUICKLY, **keys})
        self.port = free_ports(1)[0]

    def load(self) -> Load:
        """Clients of it, one of which asks for what takes long; each answer is a worker's pid."""
        paths = ("/slow", "/", "/")
        return Load(self.port, fresh=paths, right=bytes.isdigit, pause_seconds=0.03)

    def command(self, *options: str) -> list[str]:
        """Of a service that leaks."""
        bind = f"127.0.0.1:{self.port}"
        return ["gunicorn", "--no-control-socket", "-b", bind, "-w", "3", *options, "app_leaks:wsgi"]

    def hanging(self) -> list[str]:
        """Of one whose supervisor never ends a worker that hangs."""
        return ["uvicorn", "--port", str(self.port), "--workers", "3", "--log-level", "warning", "app_leaks:app"]

    @contextlib.contextmanager
    def running(self, command: list[str]) -> Iterator[Service]:
        """All of it, all workers up."""
        with running(self.agent, command, "--name", "served", cwd=TARGETS) as service:
            wait_for("three workers", lambda: self.agent.answers() and len(self.up()) == 3, 40)
            yield service

    @contextlib.contextmanager
    def alone(self) -> Iterator[int]:
        """One that hangs, with the probe and without an agent: the pid of its master."""
        probe = {"PYTHONPATH": str(LAUNCH), "VITALSD_TARGET": "served"}
        self.agent.segments.mkdir(mode=0o700)
        process = psutil.Popen(self.hanging(), cwd=TARGETS, env=self.agent.environment | probe)
        try:
            wait_for("the service to listen", self._listens, 40)
            yield process.pid
        finally:
            below = process.children()
            process.terminate()
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(10)
            for each in (*below, process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def one_hangs(self) -> Iterator[None]:
        """A request that is never answered."""
        with socket.create_connection(("127.0.0.1", self.port)) as asking:
            asking.sendall(b"GET /hang HTTP/1.1\r\nHost: shop\r\n\r\n")
            yield

    def up(self) -> dict[str, int]:
        """Slot -> pid."""
        target = self.agent.targets().get("served", {"workers": []})
        return {each["slot"]: each["key"]["pid"] for each in target["workers"] if each["up"]}

    def remedy(self) -> dict[str, Any]:
        """How it stands."""
        return self.agent.targets()["served"]["remedy"]

    def told(self, kind: str = "leak") -> list[tuple[str, str]]:
        """What the timelines of all incidents of a kind say of remedy: slot, text."""
        token = (self.agent.storage / f"control-{self.agent.control_port}.token").read_text().strip()
        status, body = self.agent.get("/api/v1/incidents?limit=200", self.agent.control_port, token=token)
        assert status == 200, body
        entries = [
            (entry["at"], each["worker"], entry["text"])
            for each in json.loads(body)["incidents"]
            if each["kind"] == kind
            for entry in each["timeline"]
            if entry["event"] == "remedy"
        ]
        return [(slot, text) for _, slot, text in sorted(entries)]

    def says(self, what: str, kind: str = "leak") -> bool:
        """Whether one of them says this."""
        return any(what in text for _, text in self.told(kind))
