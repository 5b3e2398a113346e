"""
The processes that run a V8: opened for one look each, with what is remembered of them between two.

Of a program it is remembered where things lie in its V8's memory, of a thread where its isolate notes the frame in
which JavaScript was left.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from vitalsd.model import StackRefusal, WorkerKey
from vitalsd.sources.interpreter.bounded import BoundedMemory
from vitalsd.sources.interpreter.image import images
from vitalsd.sources.interpreter.memory import GoneError, ProcessMemory, TornError
from vitalsd.sources.interpreter.v8layout import MARK, UnknownV8Error, V8Layout, v8_layout
from vitalsd.targets.namespaces import own_number
from vitalsd.targets.processes import read_key

__all__ = ["NoV8StackError", "V8Look", "V8Processes", "Who"]

MOST_BYTES = 2 << 20
MOST_SECONDS = 0.02
AGAIN_SECONDS = 60.0
"""A program that has no V8 now may load it yet."""
KEPT_BINARIES = 64
KEPT_NOTES = 256
MOST_THREADS = 256
Binary = tuple[int, int, int]
T = TypeVar("T")


class NoV8StackError(Exception):
    """Why a stack cannot be had: a word, and a sentence; `lasting` if it is no better a moment later."""

    def __init__(self, reason: StackRefusal, sentence: str, *, lasting: bool = False) -> None:
        super().__init__(sentence)
        self.reason: StackRefusal = reason
        self.lasting = lasting


class Who(NamedTuple):
    """A thread of a process that runs a program."""

    key: WorkerKey
    tid: int
    binary: Binary


class V8Look(msgspec.Struct, frozen=True):
    """One look into a process."""

    who: Who
    process: str
    layout: V8Layout
    memory: BoundedMemory


class V8Processes:
    """All of them; to be used by one thread."""

    def __init__(self, proc: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self._binaries: OrderedDict[Binary, tuple[float, V8Layout | str | None]] = OrderedDict()
        """What is known of a program, and until when: its layout, why there is none, or that it has no V8."""
        self._notes: OrderedDict[Who, int] = OrderedDict()

    def look(self, key: WorkerKey, thread: int, look: Callable[[V8Look], T]) -> T | None:
        """
        Look into a process, the number of its thread the agent's or the service's own.

        None if it runs no V8, as far as may be seen; NoV8StackError if it does, and may not be looked into.
        """
        process = f"{self._proc}/{key.pid}"
        try:
            binary = _binary(process)
        except OSError:
            return None
        memory = None
        try:
            memory = ProcessMemory(process)
            if read_key(self._proc, key.pid) != key:
                raise _gone(key.pid)
            layout = self._layout(process, binary, memory)
            if layout is None:
                return None
            if isinstance(layout, str):
                raise NoV8StackError("forbidden", layout, lasting=True)
            who = Who(key, self.number(key, thread), binary)
            return look(V8Look(who, process, layout, BoundedMemory(memory, MOST_BYTES, MOST_SECONDS)))
        except PermissionError:
            return None
        except (GoneError, OSError):
            raise _gone(key.pid) from None
        finally:
            if memory is not None:
                memory.close()

    def note(self, who: Who) -> int | None:
        """Where the isolate of this thread notes its exit frame, if that is known."""
        return self._notes.get(who)

    def remember(self, who: Who, note: int | None) -> None:
        """It is there."""
        if note is None or self._notes.get(who) == note:
            return
        self._notes[who] = note
        while len(self._notes) > KEPT_NOTES:
            self._notes.popitem(last=False)

    def number(self, key: WorkerKey, thread: int) -> int:
        """The thread's number as the agent sees it: its main thread, unless another has this number of its own."""
        process = f"{self._proc}/{key.pid}"
        try:
            names = os.listdir(process + "/task")  # noqa: PTH208 - the names are all that is wanted
        except OSError:
            raise _gone(key.pid) from None
        if str(thread) in names:
            return thread
        own = (int(name) for name in names[:MOST_THREADS])
        return next((number for number in own if own_number(f"{process}/task/{number}/status") == thread), thread)

    def _layout(self, process: str, binary: Binary, memory: ProcessMemory) -> V8Layout | str | None:
        until, found = self._binaries.get(binary, (-math.inf, None))
        now = self._clock()
        if now < until:
            return found
        try:
            found = _find(process, memory)
        except UnknownV8Error as why:
            found = str(why)
        self._binaries[binary] = (now + AGAIN_SECONDS if found is None else math.inf), found
        while len(self._binaries) > KEPT_BINARIES:
            self._binaries.popitem(last=False)
        return found


def _find(process: str, memory: ProcessMemory) -> V8Layout | None:
    """The layout of the V8 in its executable, or in a libnode."""
    program = os.path.basename(os.readlink(process + "/exe"))  # noqa: PTH115, PTH119 - text in, text out
    library = b"libnode" if program.startswith("node") else b""
    with contextlib.closing(images(memory, process, library)) as found:
        for image in found:
            with contextlib.suppress(TornError):  # it is being loaded, or damaged
                if image.symbol(MARK) is not None:
                    return v8_layout(memory, image.symbol)
    return None


def _binary(process: str) -> Binary:
    found = os.stat(process + "/exe")  # noqa: PTH116 - a string is what there is
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _gone(pid: int) -> NoV8StackError:
    return NoV8StackError("gone", f"process {pid} has ended, or runs another program")
