"""
Looks at one thread through /proc/PID/task/TID: what it is doing, and what the kernel has counted of it.

A brief look reads `syscall` and `schedstat` of descriptors that stay open, 5 us, or 15 with cold caches; a
whole one `stat`, `status` and where a descriptor leads as well, 20 us more. `syscall` needs ptrace rights (the
same uid with Yama at 0, or CAP_SYS_PTRACE); everything else is open to everybody. A descriptor belongs to one
thread of one process for ever: a number that is used again cannot mislead it.

A stopped thread still shows the call that it was stopped in. But it must have run to stop: so the state of a
thread in its epoll is asked for at the first look since which it has not run, and no more until it has. In any
other call, too, a thread that has not run is what it was.
"""

from __future__ import annotations

import os
import re

import msgspec

from vitalsd.counts import is_count
from vitalsd.model import STOPPED
from vitalsd.sources.observer.calls import Call, Calls, doing, peer_of
from vitalsd.sources.observer.events import Look, Times
from vitalsd.sources.room import Descriptors

__all__ = ["ANOTHER_EPOLL", "GONE", "ThreadReader", "scheduled_seconds"]

GONE = (FileNotFoundError, ProcessLookupError)
READ_BYTES = 4096
ANOTHER_EPOLL = "another epoll"
"""The peer of a thread that waits in one, where its loop's own is known."""
DEAD = "ZXx"
RUNNING = b"running"
NOT_COUNTED = (b"", b"0 0 0\n")
"""What a kernel says that keeps no such counts."""
STATUS = re.compile(rb"\n(TracerPid|VmSwap|voluntary_ctxt_switches):[ \t]*(\d{1,15})(?!\d)")


class _File:
    """One file of procfs, kept open between looks if there is room."""

    def __init__(self, path: str, room: Descriptors) -> None:
        self._path = path
        self._room = room
        self._fd = -1

    def read(self) -> bytes:
        """The whole of it, as it is now."""
        if self._fd >= 0:
            text = os.pread(self._fd, READ_BYTES, 0)
            return text if 0 < len(text) < READ_BYTES else _read(self._fd)
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        if self._room.take():
            self._fd = fd
            return _read(fd)
        try:
            return _read(fd)
        finally:
            os.close(fd)

    @property
    def kept(self) -> bool:
        """Whether it is open."""
        return self._fd >= 0

    def close(self) -> None:
        """Let go of it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._room.give_back()
            os.close(fd)


def _read(fd: int) -> bytes:
    text = piece = os.pread(fd, READ_BYTES, 0)
    while len(piece) == READ_BYTES:
        piece = os.pread(fd, READ_BYTES, len(text))
        text += piece
    if not text:
        raise ProcessLookupError
    return text


class ThreadReader:
    """One thread; `epoll` is the descriptor that its loop waits on, where the observer had to find that out."""

    def __init__(self, process: str, tid: int, calls: Calls, room: Descriptors, epoll: int | None = None) -> None:
        self.tid = tid
        self.epoll = epoll
        self.refused = False
        """Whether `syscall` may not be read."""
        self._process = process
        self._folder = f"{process}/task/{tid}"
        self._calls = calls
        self._syscall, self._schedstat, self._stat, self._status = (
            _File(f"{self._folder}/{name}", room) for name in ("syscall", "schedstat", "stat", "status")
        )
        self._waits = calls.waiting_in(epoll) if epoll is not None else ()
        self._line = self._scheduled = b""
        self._known: Look | None = None

    @property
    def pinned(self) -> bool:
        """Whether an open descriptor makes sure that this is still the same thread."""
        return self._syscall.kept

    def close(self) -> None:
        """Let go of all files."""
        for file in (self._syscall, self._schedstat, self._stat, self._status):
            file.close()

    def look(self, at: float, whole: bool) -> Look | None:
        """What the thread is doing at `at`; None when there is no such thread any more, or nothing can be said."""
        try:
            return self._look(at, whole)
        except GONE:
            return None

    def _look(self, at: float, whole: bool) -> Look | None:
        line, scheduled, before = self._read_syscall(), self._read_schedstat(), self._scheduled
        counted = scheduled not in NOT_COUNTED
        rested = counted and scheduled == before
        known = self._known if rested and line == self._line else None
        self._line, self._scheduled, self._known = line, scheduled, None
        if known is not None and not line.startswith(RUNNING):
            self._known = known
            return msgspec.structs.replace(known, at=at, ready_seconds=0.0, earlier=True)
        waits = line.startswith(self._waits)
        if waits and not whole and counted and not rested:
            return Look(at, "loop")
        stat = self._stat.read().rpartition(b")")[2].split(None, 11)
        state = stat[0].decode("ascii", "replace") if stat else "X"
        if state in DEAD:
            return None
        if waits and not whole and state not in STOPPED:
            self._known = Look(at, "loop", state)
            return self._known
        call = self._calls.parse(line)
        link, wchan = self._peer(call, state)
        status = {name: int(number) for name, number in STATUS.findall(self._status.read())}
        cpu, runqueue = _seconds(scheduled)
        swap = status.get(b"VmSwap")
        times = Times(
            cpu_seconds=cpu,
            runqueue_seconds=runqueue,
            voluntary_switches=status.get(b"voluntary_ctxt_switches"),
            major_faults=int(stat[9]) if len(stat) > 9 and is_count(stat[9]) else None,
            swap_bytes=swap * 1024 if swap is not None else None,
        )
        self._known = Look(
            at,
            doing(call, state, self.epoll, link, wchan),
            state,
            times,
            ANOTHER_EPOLL if call.group == "epoll" and self.epoll is not None and link else peer_of(link),
            traced=bool(status.get(b"TracerPid")),
            ready_seconds=_ready(before, scheduled),
            earlier=rested,
        )
        return self._known

    def _read_syscall(self) -> bytes:
        if self.refused:
            return b""
        try:
            return self._syscall.read()
        except PermissionError:
            self.refused = True
            return b""
        except FileNotFoundError:
            # A kernel without the file, or a thread that has gone, which the next read says.
            return b""

    def _read_schedstat(self) -> bytes:
        try:
            return self._schedstat.read()
        except FileNotFoundError:
            return b""

    def _peer(self, call: Call, state: str) -> tuple[str | None, str | None]:
        """Where the descriptor of a call leads; the kernel function too, where that is a path."""
        if call.fd is None or call.fd == self.epoll:
            return None, None
        try:
            link = os.readlink(f"{self._process}/fd/{call.fd}")  # noqa: PTH115 - read at each look of a stall
            if state == "D" or not link.startswith("/"):
                return link, None
            with open(f"{self._folder}/wchan", "rb") as file:  # noqa: PTH123 - as above
                return link, file.read(64).decode("ascii", "replace")
        except OSError:
            return None, None


def scheduled_seconds(text: bytes) -> float | None:
    """The time on a processor that a `schedstat` tells."""
    return _seconds(text)[0]


def _seconds(schedstat: bytes) -> tuple[float | None, float | None]:
    """Time on a processor, and waiting for one; not known where the kernel does not keep it."""
    fields = schedstat.split()
    if len(fields) < 3 or fields[2] == b"0" or not (is_count(fields[0]) and is_count(fields[1])):
        return None, None
    return int(fields[0]) / 1e9, int(fields[1]) / 1e9


def _ready(before: bytes, after: bytes) -> float | None:
    first, last = _seconds(before), _seconds(after)
    if None in first or None in last:
        return None
    return max(0.0, sum(filter(None, last)) - sum(filter(None, first)))
