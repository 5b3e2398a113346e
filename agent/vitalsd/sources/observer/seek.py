"""
Finds the thread that runs the loop of a process without a probe, and the epoll that it waits on.

That is a thread seen waiting in the same epoll again and again, the main thread before any other. A search takes
ten looks at the main thread and four at the others, about 10 us per thread, and is repeated each ten seconds
where it found none: a worker that is synchronous has no such thread.

A loop that is nearly always busy is seldom seen in its epoll. So a main thread that computes is looked at ten
times as often before the search begins anew, without a pause. Where it computed at nearly every look and the
process has a single epoll, to be seen there once is enough; but never is an epoll taken that nobody was seen to
wait in: a synchronous worker may have opened or inherited one, and all it does would be one endless stall.
"""

from __future__ import annotations

import os
from collections import Counter

from vitalsd.model import WorkerKey
from vitalsd.sources.epolls import only_epoll
from vitalsd.sources.observer.calls import Call, Calls
from vitalsd.sources.observer.thread import GONE
from vitalsd.sources.permission import refusal

__all__ = ["BUSY", "NO_LOOP", "Seeker"]

NO_LOOP = "no thread of it waits in an epoll, so it has no event loop that could be seen from outside"
BUSY = "its main thread computes nearly all the time: whether it has an event loop could not be seen yet"
RETRY_SECONDS = 10.0
BETWEEN_LOOKS_SECONDS = 0.1
LOOKS = 10
LOOKS_AT_OTHERS = (3, 5, 7, 9)
SIGHTINGS = {True: 2, False: 3}
"""Of the main thread, and of any other."""
LOOKS_IF_BUSY = 100
BUSY_SHARE = 0.5
"""Of the looks that found the main thread computing: a search goes on beyond this."""
LOOKS_ALWAYS_BUSY = 8
"""Of the first ten: no synchronous worker that waits for its work is so, nor a loop with time to spare."""
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
        self._looks = self._computing = 0
        self._seen: Counter[tuple[int, int]] = Counter()
        self._only_epoll: int | None = None
        """The single one of a process that is always busy."""

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
            self._fail(now, refusal(self._process, "syscall"))
            return None
        except OSError:
            self._fail(now, None)  # gone: the finder will say so
            return None
        if self._looks == LOOKS and self._computing >= LOOKS_ALWAYS_BUSY:
            self._only_epoll = only_epoll(self._process)
        found = self._found()
        if found is not None:
            self.missing = None
            self._restart()
        elif self._looks >= LOOKS:
            self._not_yet(now)
        return found

    def main_waits(self) -> int | None:
        """The epoll that the main thread waits on right now; None when it does not."""
        try:
            call = self._call(self._key.pid)
        except OSError:
            return None
        return call.fd if call.group == "epoll" else None

    def _not_yet(self, now: float) -> None:
        """Ten looks and more have found nothing: go on at each look of the observer's, or try again later."""
        if self._computing <= BUSY_SHARE * self._looks:
            known = self._calls.known
            self._fail(now, NO_LOOP if known else f"its system calls are not known on {os.uname().machine}")
            return
        self.missing = BUSY
        self._next_at = now
        if self._looks >= LOOKS_IF_BUSY:
            self._restart()

    def _fail(self, now: float, why: str | None) -> None:
        self.missing = why
        self._next_at = now + RETRY_SECONDS
        self._restart()

    def _found(self) -> tuple[int, int] | None:
        for (tid, epoll), times in self._seen.most_common():
            enough = times >= SIGHTINGS[True] or epoll == self._only_epoll
            if tid == self._key.pid and enough:
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
            call = self._call(tid)
        except GONE:
            if tid == self._key.pid:
                raise
            return
        if call.group == "epoll" and call.fd is not None:
            self._seen[tid, call.fd] += 1
        elif call.group == "running" and tid == self._key.pid:
            self._computing += 1

    def _call(self, tid: int) -> Call:
        with open(f"{self._process}/task/{tid}/syscall", "rb") as file:  # noqa: PTH123 - as above
            return self._calls.parse(file.read(256))
