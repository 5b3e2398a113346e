"""
Which turn of its loop the main thread of a running Node is in, told by libuv's own count of turns and its time.

From outside, one long callback and one short turn after another look the same; the count tells them apart, and the
time when the turn began, to a millisecond. Code of the service may have libuv look at the clock in the middle of a
turn, as each `setTimeout` does, so the time is read when a turn is seen first. A read takes 5 us, and needs the
right to read the process's memory, as `syscall` of its threads does.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vitalsd.sources.epolls import is_epoll
from vitalsd.sources.interpreter import Turn
from vitalsd.sources.interpreter.image import images
from vitalsd.sources.interpreter.memory import GoneError, ProcessMemory, TornError
from vitalsd.sources.permission import refusal
from vitalsd.sources.room import Descriptors
from vitalsd.sources.uv.place import CannotError, UvLoop, find_loop

__all__ = ["NOTHING_EXPORTED", "UvTurns"]

RETRY_SECONDS = 10.0
COUNT_BYTES = 8
MILLISECOND = 0.001
CLOCK_SLACK_SECONDS = 1.0
NOTHING_EXPORTED = "its executable exports nothing, and so no libuv"


class UvTurns:
    """The default loop of one process; `missing` says why nothing can be told of it."""

    def __init__(
        self,
        proc: Path,
        pid: int,
        room: Descriptors,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.missing: str | None = None
        self._process = f"{proc}/{pid}"
        self._room = room
        self._clock = clock
        self._memory: ProcessMemory | None = None
        self._counted = False
        """Whether its descriptor has room to stay open; any other is closed at the end of a stall."""
        self._loop: UvLoop | None = None
        self._next_at = 0.0
        self._turn: tuple[int, float] | None = None
        """Its number, and when it began."""

    @property
    def epoll(self) -> int | None:
        """The one that the default loop waits on."""
        self._open(self._clock())
        return self._loop.epoll if self._loop is not None else None

    def read(self, epoll: int) -> Turn | None:
        """The turn of the loop that waits on this epoll; only the default one is known."""
        now = self._clock()
        self._open(now)
        memory, loop = self._memory, self._loop
        if memory is None or loop is None or loop.epoll != epoll:
            return None
        try:
            number = _number(memory, loop.count)
            began = _number(memory, loop.time) * MILLISECOND
            if _number(memory, loop.count) != number:
                return Turn(collecting=None, turned=True)
        except (TornError, GoneError):
            self.close()  # an exec, or an exit
            return None
        if self._turn is None or self._turn[0] != number:
            self._turn = number, began
        began = self._turn[1]
        return Turn(collecting=None, turn_began=began if 0 < began <= now + CLOCK_SLACK_SECONDS else None)

    def close(self) -> None:
        """Let go of the descriptor, and of what only it makes sure to be still there."""
        self._loop = self._turn = None
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        if self._counted:
            self._counted = False
            self._room.give_back()

    def rest(self) -> None:
        """Nothing is late: let go of a descriptor for which there is no room."""
        if self._memory is not None and not self._counted:
            self.close()

    def _open(self, now: float) -> None:
        """Find the loop, unless that is done or was tried just now."""
        if self._memory is not None or now < self._next_at:
            return
        try:
            self._memory = ProcessMemory(self._process)
            self._loop = _find(self._memory, self._process)
            self._counted = self._room.take()
            self.missing = None
        except PermissionError:
            self._fail(now, refusal(self._process, "mem"))
        except CannotError as why:
            self._fail(now, str(why))
        except (TornError, GoneError, OSError):
            self._fail(now, None)  # it is about to begin, or to end

    def _fail(self, now: float, why: str | None) -> None:
        self.close()
        self.missing = why
        self._next_at = now + RETRY_SECONDS


def _find(memory: ProcessMemory, process: str) -> UvLoop:
    with contextlib.closing(images(memory, process)) as found:
        image = next(found, None)
    if image is None:
        raise CannotError(NOTHING_EXPORTED)
    if not _same_clock(process):
        raise CannotError("it has a clock of its own, in another time namespace")
    return find_loop(memory, image, partial(is_epoll, process))


def _number(memory: ProcessMemory, address: int) -> int:
    return int.from_bytes(memory.read(address, COUNT_BYTES), "little")


def _same_clock(process: str) -> bool:
    """Whether its CLOCK_MONOTONIC is the agent's: a time namespace may have another."""
    try:
        return os.readlink(f"{process}/ns/time") == os.readlink("/proc/self/ns/time")  # noqa: PTH115 - text in
    except OSError:
        return True  # a kernel without time namespaces
