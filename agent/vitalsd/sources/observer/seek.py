"""
Finds the thread that runs the loop of a process without a probe, and the epoll that it waits on.

That is a thread seen waiting in the same epoll again and again, the main thread before any other. A search takes
ten looks at the main thread and four at the others, about 10 us per thread, and is repeated each ten seconds
where it found none: a worker that is synchronous has no such thread.
"""

from __future__ import annotations

import os
from collections import Counter

from vitalsd.model import WorkerKey
from vitalsd.sources.observer.calls import Calls
from vitalsd.sources.observer.thread import GONE

__all__ = ["NO_LOOP", "Seeker", "is_epoll"]

NO_LOOP = "no thread of it waits in an epoll, so it has no event loop that could be seen from outside"
RETRY_SECONDS = 10.0
BETWEEN_LOOKS_SECONDS = 0.1
LOOKS = 10
LOOKS_AT_OTHERS = (3, 5, 7, 9)
SIGHTINGS = {True: 2, False: 3}
"""Of the main thread, and of any other."""
MOST_THREADS = 64


class Seeker:
    """The search in one process."""

    def __init__(self, proc: str, key: WorkerKey, calls: Calls) -> None:
        self.missing: str | None = None
        self._process = f"{proc}/{key.pid}"
        self._key = key
        self._calls = calls
        self._next_at = 0.0
        self._restart()

    def _restart(self) -> None:
        self._looks = 0
        self._seen: Counter[tuple[int, int]] = Counter()

    def seek(self, now: float) -> tuple[int, int] | None:
        """Look once more if it is time to: the thread and its epoll, once they are found."""
        if now < self._next_at:
            return None
        self._next_at = now + BETWEEN_LOOKS_SECONDS
        self._looks += 1
        try:
            self._sight(self._key.pid)
            if self._looks in LOOKS_AT_OTHERS:
                for tid in self._others():
                    self._sight(tid)
        except PermissionError:
            self._fail(now, refusal(self._process))
            return None
        except OSError:
            self._fail(now, None)  # gone: the finder will say so
            return None
        found = self._found()
        if found is not None:
            self.missing = None
            self._restart()
        elif self._looks >= LOOKS:
            known = self._calls.known
            self._fail(now, NO_LOOP if known else f"its system calls are not known on {os.uname().machine}")
        return found

    def main_waits(self) -> int | None:
        """The epoll that the main thread waits on right now; None when it does not."""
        before = Counter(self._seen)
        try:
            self._sight(self._key.pid)
        except OSError:
            return None
        new = self._seen - before
        self._seen = before
        return next((epoll for _, epoll in new), None)

    def _fail(self, now: float, why: str | None) -> None:
        self.missing = why
        self._next_at = now + RETRY_SECONDS
        self._restart()

    def _found(self) -> tuple[int, int] | None:
        for (tid, epoll), times in self._seen.most_common():
            if times >= SIGHTINGS[True] and tid == self._key.pid:
                return tid, epoll
        if self._looks < LOOKS:
            return None
        found = [place for place, times in self._seen.most_common() if times >= SIGHTINGS[False]]
        return found[0] if found else None

    def _others(self) -> list[int]:
        names = os.listdir(self._process + "/task")  # noqa: PTH208 - a Path each would cost more than the look
        return sorted({int(name) for name in names if name.isdecimal()} - {self._key.pid})[:MOST_THREADS]

    def _sight(self, tid: int) -> None:
        try:
            with open(f"{self._process}/task/{tid}/syscall", "rb") as file:  # noqa: PTH123 - as above
                call = self._calls.parse(file.read(256))
        except GONE:
            if tid == self._key.pid:
                raise
            return
        if call.group == "epoll" and call.fd is not None:
            self._seen[tid, call.fd] += 1


def refusal(process: str) -> str:
    """Who may read what was refused."""
    owner = os.stat(process).st_uid  # noqa: PTH116 - a string is what there is
    uid = os.geteuid()
    grant = f"run it as uid {owner} with kernel.yama.ptrace_scope=0, or as root with CAP_SYS_PTRACE"
    if uid == owner:
        grant = "set kernel.yama.ptrace_scope=0 on the host, or give it CAP_SYS_PTRACE"
    return (
        f"{process}/syscall may be read by uid {owner} where kernel.yama.ptrace_scope is 0, "
        f"or with CAP_SYS_PTRACE, this agent is uid {uid}: {grant}"
    )


def is_epoll(process: str, fd: int) -> bool:
    """Whether this descriptor of the process still is an epoll: a loop that has been closed is no loop."""
    try:
        return os.readlink(f"{process}/fd/{fd}") == "anon_inode:[eventpoll]"  # noqa: PTH115 - as above
    except OSError:
        return False
