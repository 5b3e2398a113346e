"""
Who runs an event loop itself, and so stays a worker when it forks: an application with a pool of processes.

Without a probe that is told by what its main thread waits in: a service waits in an epoll, a supervisor for its
children. Some supervisors have an epoll as well, and are told by their names. One short read for each process that
was not seen so yet, at each look at the table; without the right to trace it nothing is read, and nobody counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vitalsd.model import WorkerKey
from vitalsd.syscalls import EPOLL, numbers
from vitalsd.targets.processes import Process
from vitalsd.targets.supervisors import supervises

__all__ = ["Serving"]


class Serving:
    """Those that were seen to wait for events."""

    def __init__(self, proc: Path = Path("/proc"), machine: str | None = None) -> None:
        self._proc = proc
        self._calls = numbers(EPOLL, machine)
        self._known: set[WorkerKey] = set()

    def look(self, processes: Iterable[Process]) -> set[int]:
        """Which of these run a loop; who was seen once does until it ends."""
        found = set()
        for process in processes:
            if process.key not in self._known and not supervises(process) and self._waits(process.pid):
                self._known.add(process.key)
            if process.key in self._known:
                found.add(process.pid)
        return found

    def keep(self, alive: set[WorkerKey]) -> None:
        """Forget the others."""
        self._known &= alive

    def _waits(self, pid: int) -> bool:
        try:
            with open(f"{self._proc}/{pid}/syscall", "rb", buffering=0) as file:  # noqa: PTH123 - of each worker
                return file.read(32).partition(b" ")[0] in self._calls
        except OSError:
            return False
