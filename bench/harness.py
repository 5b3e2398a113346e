"""
The processes of a bench: started in a clean environment, always ended, their CPU time read to the nanosecond.

CPU time comes from /proc/PID/task/*/schedstat. The kernel brings it up to date when a thread sleeps, so read it
of processes that are at rest, not in mid-work. Nothing listens anywhere but on the loopback.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "NODE_PROBE",
    "PROBE",
    "SERVICES",
    "UVICORN",
    "Process",
    "Service",
    "at_rest",
    "cores",
    "end",
    "environment",
    "fetch",
    "free_port",
    "free_ports",
    "process",
    "scratch",
    "served",
    "wait_for",
    "web_service",
]

ROOT = Path(__file__).parent.parent
SERVICES = Path(__file__).parent / "services"
PROBE = {"PYTHONPATH": str(ROOT / "agent" / "vitalsd" / "probe" / "launch")}
"""The environment that puts the probe into a Python service."""
NODE_PROBE = {"NODE_OPTIONS": f"--require {ROOT / 'agent' / 'vitalsd' / 'probe' / 'node' / 'preload.js'}"}
"""And into a Node service."""
UVICORN = ("-m", "uvicorn", "--log-level", "warning", "--no-access-log")
PATIENCE_SECONDS = 30.0
END_SECONDS = 10.0
SETTLE_SECONDS = 0.005


@dataclass(frozen=True)
class Process:
    """One process of a bench."""

    pid: int
    output: Path
    port: int = 0

    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far."""
        nanoseconds = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                nanoseconds += int((task / "schedstat").read_text().split()[0])
        return nanoseconds / 1e9

    def memory_bytes(self) -> dict[str, int]:
        """VmRSS, RssAnon, RssFile and RssShmem."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        if "VmRSS" not in fields:
            raise RuntimeError(f"process {self.pid} has ended: see {self.output}")
        return {name: int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon", "RssFile", "RssShmem")}

    def pss_bytes(self) -> int:
        """What it would give back: its own memory, and its share of what others have mapped too."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]
        return int(dict(line.split(":", 1) for line in lines)["Pss"].split()[0]) * 1024


Service = Callable[..., contextlib.AbstractContextManager[Process]]
"""Starts one of a kind, as `web_service` does."""


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This environment without what would change a service's behaviour, and with `extra`."""
    changing = ("PYTHON", "NODE_", "VITALSD")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(changing)}
    return {**kept, **extra}


def cores() -> tuple[set[int], set[int]]:
    """The cores for the service and for its load: one each where there are two."""
    allowed = sorted(os.sched_getaffinity(0))
    return {allowed[-1]}, {allowed[0]}


@contextlib.contextmanager
def process(
    command: Sequence[str],
    extra: Mapping[str, str],
    *,
    ready: Callable[[], bool] = lambda: True,
    port: int = 0,
    pinned: set[int] | None = None,
) -> Iterator[Process]:
    """Start `command` in the folder of the services, wait until it is ready, and end it whatever happens."""
    with tempfile.NamedTemporaryFile(prefix="bench-", suffix=".log") as output:
        child = subprocess.Popen(
            command,
            cwd=SERVICES,
            env=environment(extra),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if pinned is not None:
                os.sched_setaffinity(child.pid, pinned)
            wait_for(lambda: child.poll() is not None or ready(), f"{' '.join(command)} to be ready")
            if child.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} ended: {Path(output.name).read_text()}")
            yield Process(child.pid, Path(output.name), port)
        finally:
            child.terminate()
            try:
                child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def web_service(
    kind: str, *, app: str = "web", loop: str = "asyncio", extra: Mapping[str, str], pinned: set[int] | None = None
) -> contextlib.AbstractContextManager[Process]:
    """`web.py` under uvicorn, `aio.py` or `web.js`; with VITALSD_DIR in `extra` it is ready once it is probed."""
    port = free_port()
    command = ["node", "web.js", str(port)] if kind == "node" else [sys.executable, "aio.py", str(port)]
    if kind == "uvicorn":
        command = [sys.executable, *UVICORN, f"{app}:app", "--loop", loop, "--port", str(port)]
    return served(command, port, extra, pinned)


def served(
    command: Sequence[str], port: int, extra: Mapping[str, str], pinned: set[int] | None = None
) -> contextlib.AbstractContextManager[Process]:
    """A service that is ready once it listens; with VITALSD_DIR in `extra`, once it is probed too."""
    folder = extra.get("VITALSD_DIR")
    known = set(Path(folder).glob("*.seg")) if folder is not None else set()

    def ready() -> bool:
        probed = folder is None or bool(set(Path(folder).glob("*.seg")) - known)
        return probed and listens(port)

    return process(command, extra, ready=ready, port=port, pinned=pinned)


def end(pid: int) -> None:
    """End a process that is not our child."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), f"process {pid} to end")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory, as segments have it, gone afterwards."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


def at_rest() -> None:
    """Wait until processes that have just been busy sleep, and their CPU time is exact."""
    time.sleep(SETTLE_SECONDS)


def free_port() -> int:
    """A port nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many different ones: each is held until all are found."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def listens(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fetch(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The body of one answer, as it came."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers or {})), timeout=10) as answer:
        return bytes(answer.read())


def wait_for(true: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)
