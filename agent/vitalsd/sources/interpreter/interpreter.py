"""
The reader's face: which turn of its loop a thread of a running CPython is in, and whether garbage is collected.

From outside, a thread that computes tells nothing: it may be one long callback, a collection, a turn over a flood
of callbacks, or one short turn after another. When a turn began tells them apart: the same moment at two looks is
one and the same turn. CPython 3.8 to 3.14 with the global lock, and asyncio's own loop; uvloop has no such frame.

A read of a stall takes 35 us at a depth of ten frames; at 40, half of them coroutines, 60 us from CPython 3.11 on,
and 110 us before, where frames lie apart. Finding CPython takes 0.7 ms, once. It needs the right to read the
process's memory, as `syscall` of its threads does, and one descriptor, which stays open where there is room.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from vitalsd.sources.interpreter.described import DESCRIPTION_BYTES, described
from vitalsd.sources.interpreter.frames import NO_ITERATION, Frames
from vitalsd.sources.interpreter.image import Image, images
from vitalsd.sources.interpreter.layout import LAYOUTS, Layout
from vitalsd.sources.interpreter.memory import GoneError, Memory, ProcessMemory, TornError
from vitalsd.sources.interpreter.objects import Types
from vitalsd.sources.interpreter.threads import Threads
from vitalsd.sources.permission import refusal
from vitalsd.sources.room import Descriptors
from vitalsd.targets.namespaces import own_number

__all__ = ["Interpreter", "Turn"]

RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 600.0
MOST_FAILURES = 16
"""Counted: by then the retry has long been the longest."""
CLOCK_SLACK_SECONDS = 1.0
NUMBERS_SECONDS = 10.0
"""How long the number of a thread in another pid namespace is believed."""
MARKS = (((3, 10), b"PyIter_Send"), ((3, 9), b"PyFrame_GetBack"), ((3, 8), b"PyCode_NewWithPosOnlyArgs"))
"""What each version was the first to export, before there was `Py_Version`."""
FURTHER_ATTEMPTS = 3
DEAR_SECONDS = 0.0005
"""Of processor time, ten times what a reading takes: a stack of hundreds of frames."""
REST = 50
"""A reading that was dear is not repeated within so many times what it took."""
NO_CPYTHON = "neither its executable nor a libpython that it has mapped is a CPython"


class Turn(msgspec.Struct, frozen=True):
    """What CPython's memory tells of one thread at one moment; what it does not tell is None."""

    collecting: bool | None
    """Whether garbage is being collected in the thread's interpreter, by this thread or any other."""
    turn_began: float | None = None
    """CLOCK_MONOTONIC at which the loop's current iteration began to run its callbacks."""
    ready: int | None = None
    """How many callbacks this iteration runs."""
    ran: int | None = None
    """How many of them it has begun."""
    turned: bool = False
    """No turn is told because the loop was between two of them, or went on to the next one: it is not stuck."""


class _Cannot(Exception):  # noqa: N818 - it is an answer
    """Why a process cannot be read, in words."""


class _NoCPython(_Cannot):
    """It runs another program, which only an exec could change."""


class _Found(msgspec.Struct, frozen=True):
    memory: ProcessMemory
    threads: Threads
    frames: Frames
    same_clock: bool


class Interpreter:
    """One process, whatever it runs; `missing` says why nothing can be told of it."""

    def __init__(
        self,
        proc: Path,
        pid: int,
        room: Descriptors | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.missing: str | None = None
        self._process = f"{proc}/{pid}"
        self._clock = clock
        self._room = room if room is not None else Descriptors(1)
        self._found: _Found | None = None
        self._counted = False
        """Whether its descriptor has room to stay open; any other is closed at the end of a stall."""
        self._failures = 0
        self._next_at = 0.0
        self._read_before = False
        """The first reading gets to know the code on the stack, and is no measure of others."""
        self._numbers: dict[int, int] = {}
        self._numbers_until = 0.0

    def read(self, tid: int) -> Turn | None:
        """What the thread of this number, as the agent sees it, is in the middle of."""
        now = self._clock()
        if now < self._next_at:
            return None
        if self._found is None:
            self._seek(now)
        number = self._inner(tid, now)
        if self._found is None or number is None:
            return None
        began = time.thread_time()
        try:
            turn = self._turn(self._found, number, now, began)
        except GoneError:
            self.close()  # an exec, or an exit: the search of the next read will see
            return None
        took = time.thread_time() - began
        if took > DEAR_SECONDS and self._read_before:
            self._next_at = now + REST * took
        self._read_before = True
        return turn

    def _turn(self, found: _Found, number: int, now: float, began: float) -> Turn:
        """
        What is told in a few attempts, where anything ever was.

        A loop with turns of 10 us has mostly gone on before one is through, and that it turns is worth knowing.
        """
        told = _attempt(found, number, now)
        for _ in range(FURTHER_ATTEMPTS):
            enough = told.turned or told.turn_began is not None or not found.frames.found_before
            if enough or time.thread_time() - began > DEAR_SECONDS:
                break
            told = _attempt(found, number, now)
        return told

    def close(self) -> None:
        """Let go of the descriptor."""
        if self._found is not None:
            self._found.memory.close()
            self._found = None
        if self._counted:
            self._counted = False
            self._room.give_back()

    def rest(self) -> None:
        """Nothing is late: let go of a descriptor for which there is no room."""
        if self._found is not None and not self._counted:
            self.close()

    def _inner(self, tid: int, now: float) -> int | None:
        """The thread's own number of itself; None if there is no such thread."""
        if now >= self._numbers_until:
            self._numbers.clear()
            self._numbers_until = now + NUMBERS_SECONDS
        number = self._numbers.get(tid)
        if number is None:
            number = own_number(f"{self._process}/task/{tid}/status")
            if number is not None:
                self._numbers[tid] = number
        return number

    def _seek(self, now: float) -> None:
        memory = None
        try:
            memory = ProcessMemory(self._process)
            self._found = _find(memory, self._process)
            self._counted = self._room.take()
            self.missing = None
            self._failures = 0
        except PermissionError:
            self._fail(now, refusal(self._process, "mem"))
        except _NoCPython as why:
            self._failures = MOST_FAILURES
            self._fail(now, str(why))
        except _Cannot as why:
            self._fail(now, str(why))
        except (TornError, GoneError, OSError):
            self._fail(now, None)  # it is about to begin, or to end
        finally:
            if self._found is None and memory is not None:
                memory.close()

    def _fail(self, now: float, why: str | None) -> None:
        self.close()
        self.missing = why
        self._next_at = now + min(RETRY_SECONDS * 2**self._failures, LONGEST_RETRY_SECONDS)
        self._failures = min(self._failures + 1, MOST_FAILURES)


def _attempt(found: _Found, number: int, now: float) -> Turn:
    place = found.threads.find(number, now)
    if place is None:
        return Turn(found.threads.collecting(None))
    collecting = found.threads.collecting(place.interpreter)
    told = found.frames.iteration(place.frame, now) if place.frame else NO_ITERATION
    if told.turned:
        return Turn(collecting, turned=True)
    if told.began is None or not found.same_clock or not 0 < told.began <= now + CLOCK_SLACK_SECONDS:
        return Turn(collecting)
    return Turn(collecting, told.began, told.ready, told.ran)


def _find(memory: ProcessMemory, process: str) -> _Found:
    first, owner, runtime = _runtime(memory, process)
    version = _version(memory, owner)
    layout = _layout(memory, runtime, version)
    # What an executable has taken over from a library counts, as it does for the linker.
    kinds = {
        name: next((address for image in (first, owner) if (address := image.symbol(symbol))), 0)
        for name, symbol in zip(
            Types.__struct_fields__,
            (b"PyCode_Type", b"PyUnicode_Type", b"PyTuple_Type", b"PyFloat_Type", b"PyLong_Type"),
            strict=True,
        )
    }
    pid = own_number(process + "/status") or int(os.path.basename(process))  # noqa: PTH119 - text in
    threads = Threads(memory, layout, runtime, pid)
    if not threads.plausible():
        raise _Cannot("its memory is not laid out as that of CPython {}.{} is".format(*version))
    return _Found(memory, threads, Frames(memory, layout, Types(**kinds)), _same_clock(process))


def _runtime(memory: Memory, process: str) -> tuple[Image, Image, int]:
    """The executable, which of the images is CPython, and where its state is."""
    first = None
    with contextlib.closing(images(memory, process)) as found:
        for image in found:
            first = first or image
            runtime = image.symbol(b"_PyRuntime")
            if runtime is not None:
                return first, image, runtime
    raise _NoCPython(NO_CPYTHON)


def _version(memory: Memory, image: Image) -> tuple[int, int]:
    place = image.symbol(b"Py_Version")
    if place is not None:
        told = memory.read(place, 4)
        return told[3], told[2]
    version = next((version for version, mark in MARKS if image.symbol(mark) is not None), None)
    if version is None:
        raise _Cannot("it is a CPython older than 3.8, whose memory is not known")
    return version


def _layout(memory: Memory, runtime: int, version: tuple[int, int]) -> Layout:
    layout = LAYOUTS.get(version)
    if layout is None and version > max(LAYOUTS):
        layout = described(version, memory.read(runtime, DESCRIPTION_BYTES))
    if layout is None:
        raise _Cannot("its memory is not known: CPython {}.{}, or one without the global lock".format(*version))
    return layout


def _same_clock(process: str) -> bool:
    """Whether its CLOCK_MONOTONIC is the agent's: a time namespace may have another."""
    try:
        return os.readlink(f"{process}/ns/time") == os.readlink("/proc/self/ns/time")  # noqa: PTH115 - text in
    except OSError:
        return True  # a kernel without time namespaces
