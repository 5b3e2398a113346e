"""
Who recycles the workers of a supervisor: one agent of all that watch it, whether they know of each other or not.

A lock that the kernel drops with the agent. Since Linux 6.9 each process has one file behind all of its pidfds, so
`flock` on the supervisor's is seen from every namespace, by every user, and is of no other process. Before that it
is an abstract socket, named by the pid that the supervisor has in its own namespace and by its start: agents of
one network namespace see it, those of a pod or of a host; between namespaces such kernels have none. Costs a
descriptor for each target that something was recycled of, and nothing before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
from collections.abc import Collection
from pathlib import Path

from vitalsd.model import WorkerKey
from vitalsd.sources.exits.kernel import open_pidfd
from vitalsd.sources.files import read_file

__all__ = ["Claims"]

INNERMOST = re.compile(rb"^NSpid:.*?(\d+)$", re.MULTILINE)
TAKEN = "another agent recycles the workers of its supervisor (pid {pid}), and one is enough"


class Claims:
    """The supervisors whose workers this agent recycles."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._held: dict[WorkerKey, int] = {}
        """Supervisor -> the descriptor that has the lock."""

    def take(self, supervisor: WorkerKey) -> str | None:
        """See to it that no other agent does; why that is not so, where it is not."""
        if supervisor in self._held:
            return None
        try:
            descriptor = open_pidfd(self._proc, supervisor)
        except OSError as error:
            return f"its supervisor (pid {supervisor.pid}) cannot be held by a pidfd: {error.strerror}"
        if descriptor is None:
            return f"its supervisor (pid {supervisor.pid}) is gone, so nobody would start another"
        try:
            held = self._locked(descriptor) if _is_its_own(descriptor) else self._bound(supervisor)
        except BlockingIOError:
            os.close(descriptor)
            return TAKEN.format(pid=supervisor.pid)
        except OSError as error:
            os.close(descriptor)
            return f"whether another agent recycles the workers of its supervisor cannot be told: {error.strerror}"
        if held != descriptor:
            os.close(descriptor)
        self._held[supervisor] = held
        return None

    def keep(self, supervisors: Collection[WorkerKey]) -> None:
        """Let go of all others."""
        for key in [key for key in self._held if key not in supervisors]:
            os.close(self._held.pop(key))

    def _locked(self, descriptor: int) -> int:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor

    def _bound(self, supervisor: WorkerKey) -> int:
        found = INNERMOST.search(read_file(f"{self._proc}/{supervisor.pid}/status"))
        pid = found[1].decode() if found is not None else str(supervisor.pid)
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as bound:
            try:
                bound.bind(f"\0vitalsd-remedy-{pid}-{supervisor.start_ticks}")
            except OSError as error:
                raise BlockingIOError from error
            return bound.detach()


def _is_its_own(descriptor: int) -> bool:
    """Whether each process has a file of its own, or all pidfds of the kernel are one."""
    own = os.pidfd_open(os.getpid())
    try:
        return os.fstat(own).st_ino != os.fstat(descriptor).st_ino
    finally:
        os.close(own)
