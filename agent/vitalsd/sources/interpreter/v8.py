"""
The face of the reader of V8: the JavaScript stack of a thread of a running Node that is in a system call.

Node's inspector answers in its main thread, so it cannot while that is in `execSync`, in `readFileSync` of a
pipe or in a lock: just then its stack is worth most. Here it is read from outside, through
`/proc/PID/task/TID/syscall` and `/proc/PID/mem`: nothing is stopped, attached to or written. Node 18 to 25 on 64
bits with V8's debugging symbols, as the official builds have them, and Debian's with its libnode. It takes the
right to read the process's memory, like `syscall`.

Functions, files, and the lines that functions begin at are told, no value. A function that the optimising
compiler has put into its caller is not a frame of its own, so it may be missing. A thread that computes in C++
is read once it has been seen in a call; one that computes in JavaScript is not, nor one in a fast call that V8
keeps no frame of.

A stack of eleven functions takes 0.9 ms, the first of a program 3 ms; never more than 2 MiB or 20 ms of a
processor. It is looked at twice, and what was not the same is thrown away: so is any garbage, with a reason.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import msgspec

from vitalsd.model import Frame, StackRefusal, WorkerKey
from vitalsd.sources.interpreter.bounded import BoundedMemory, SpentError
from vitalsd.sources.interpreter.image import images
from vitalsd.sources.interpreter.memory import POINTER, GoneError, ProcessMemory, TornError, pointer_at
from vitalsd.sources.interpreter.v8layout import MARK, UnknownV8Error, V8Layout, v8_layout
from vitalsd.sources.interpreter.v8objects import V8Objects
from vitalsd.sources.interpreter.v8stack import STACK_BYTES, V8Stack, note_of_exit
from vitalsd.sources.permission import refusal
from vitalsd.targets.namespaces import own_number
from vitalsd.targets.processes import read_key

__all__ = ["NoV8StackError", "V8Stacks"]

MOST_BYTES = 2 << 20
MOST_SECONDS = 0.02
MOST_FRAMES = 60
"""As py-spy's: of deeper stacks the middle is left out, both ends tell."""
ATTEMPTS = 3
AGAIN_SECONDS = 60.0
"""A program that has no V8 now may load it yet."""
KEPT_BINARIES = 64
KEPT_NOTES = 256
MOST_THREADS = 256
SWITCHES = re.compile(rb"\nvoluntary_ctxt_switches:[ \t]*(\d+)")
Binary = tuple[int, int, int]


class NoV8StackError(Exception):
    """Why a stack cannot be had: a word, and a sentence; `lasting` if it is no better a moment later."""

    def __init__(self, reason: StackRefusal, sentence: str, *, lasting: bool = False) -> None:
        super().__init__(sentence)
        self.reason: StackRefusal = reason
        self.lasting = lasting


class _Standing(msgspec.Struct, frozen=True):
    """Where a thread is; it has not moved while this is the same."""

    call: bytes
    switches: bytes
    stack: int | None
    """The stack pointer; None while it runs."""


class _Walked(msgspec.Struct, frozen=True):
    """What one walk along a stack has found."""

    exit: int
    functions: list[int]


class V8Stacks:
    """Those of all processes; to be used by one thread."""

    def __init__(self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self._binaries: OrderedDict[Binary, tuple[float, V8Layout | str | None]] = OrderedDict()
        """What is known of a program, and until when: its layout, why there is none, or that it has no V8."""
        self._notes: OrderedDict[tuple[WorkerKey, int, Binary], int] = OrderedDict()
        """Where the isolate of a thread notes its exit frame."""

    def frames(self, key: WorkerKey, thread: int) -> tuple[Frame, ...] | None:
        """
        The stack of this thread, its number the agent's or the service's own, innermost first.

        None if the process runs no V8, as far as may be seen; NoV8StackError if it does, and there is no stack.
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
            tid = _number(process, key.pid, thread)
            bounded = BoundedMemory(memory, MOST_BYTES, MOST_SECONDS)
            return self._look(process, (key, tid, binary), layout, bounded)
        except PermissionError:
            return None
        except (GoneError, OSError):
            raise _gone(key.pid) from None
        finally:
            if memory is not None:
                memory.close()

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

    def _look(
        self, process: str, who: tuple[WorkerKey, int, Binary], layout: V8Layout, memory: BoundedMemory
    ) -> tuple[Frame, ...]:
        """A stack that was the same at two looks."""
        tid = who[1]
        for _ in range(ATTEMPTS):
            standing = _standing(process, tid)
            try:
                walked = self._walk(who, layout, memory, standing)
                functions = walked.functions
                if len(functions) > MOST_FRAMES:
                    inner = MOST_FRAMES * 2 // 3
                    functions = functions[:inner] + functions[inner - MOST_FRAMES :]
                frames = V8Objects(memory, layout).frames(functions)
                again = self._walk(who, layout, memory, standing)
                if walked == again and standing == _standing(process, tid):
                    if not frames:
                        raise NoV8StackError("failed", f"thread {tid} has no function of a script on its stack")
                    return tuple(frames)
            except TornError:
                pass
            except SpentError:
                raise NoV8StackError("failed", f"the stack of thread {tid} takes more than may be read") from None
        raise NoV8StackError("failed", f"the stack of thread {tid} moved, or made no sense, while it was read")

    def _walk(
        self, who: tuple[WorkerKey, int, Binary], layout: V8Layout, memory: BoundedMemory, standing: _Standing
    ) -> _Walked:
        left = self._left_in(who, layout, memory, standing)
        if left == 0:
            state = "computes in JavaScript" if standing.stack is None else "is in no call of JavaScript's"
            raise NoV8StackError("failed", f"thread {who[1]} {state}, and so has no stack that could be read")
        return _Walked(left, V8Stack(memory, layout, left - 2 * POINTER.size).functions(left))

    def _left_in(
        self, who: tuple[WorkerKey, int, Binary], layout: V8Layout, memory: BoundedMemory, standing: _Standing
    ) -> int:
        """The frame in which JavaScript was left; 0 if it is being run, or there is none."""
        known = self._notes.get(who)
        if known is not None:
            with contextlib.suppress(TornError):
                left = pointer_at(memory, known)
                if _fits(left, standing, V8Stack(memory, layout, left - 2 * POINTER.size)):
                    return left
                if left == 0 and standing.stack is None:
                    return 0
        if standing.stack is None:
            raise NoV8StackError("failed", f"thread {who[1]} computes, and was not seen in a call before")
        note = note_of_exit(memory, V8Stack(memory, layout, standing.stack))
        if note is None:
            return 0
        self._notes[who] = note
        while len(self._notes) > KEPT_NOTES:
            self._notes.popitem(last=False)
        return pointer_at(memory, note)


def _fits(left: int, standing: _Standing, stack: V8Stack) -> bool:
    within = standing.stack is None or 0 <= left - standing.stack < STACK_BYTES
    return within and stack.is_exit(left)


def _find(process: str, memory: ProcessMemory) -> V8Layout | None:
    """The layout of the V8 in its executable, or in a libnode."""
    program = os.path.basename(os.readlink(process + "/exe"))  # noqa: PTH115, PTH119 - text in, text out
    library = b"libnode" if program.startswith("node") else b""
    with contextlib.closing(images(memory, process, library)) as found:
        for image in found:
            if image.symbol(MARK) is not None:
                return v8_layout(memory, image.symbol)
    return None


def _binary(process: str) -> Binary:
    found = os.stat(process + "/exe")  # noqa: PTH116 - a string is what there is
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _standing(process: str, tid: int) -> _Standing:
    try:
        with open(f"{process}/task/{tid}/syscall", "rb", buffering=0) as file:  # noqa: PTH123 - as above
            call = file.read(256)
        with open(f"{process}/task/{tid}/status", "rb", buffering=0) as file:  # noqa: PTH123 - as above
            switches = SWITCHES.search(file.read(4096))
    except PermissionError:
        raise NoV8StackError("forbidden", refusal(process, "syscall"), lasting=True) from None
    except OSError:
        raise NoV8StackError("thread", f"{process} has no thread {tid}") from None
    fields = call.split()
    stack = int(fields[-2], 16) if len(fields) >= 3 else None
    return _Standing(call, switches[1] if switches is not None else b"", stack or None)


def _number(process: str, pid: int, thread: int) -> int:
    """The thread's number as the agent sees it: its main thread, unless another has this number of its own."""
    try:
        names = os.listdir(process + "/task")  # noqa: PTH208 - the names are all that is wanted
    except OSError:
        raise _gone(pid) from None
    if str(thread) in names:
        return thread
    own = (int(name) for name in names[:MOST_THREADS])
    return next((number for number in own if own_number(f"{process}/task/{number}/status") == thread), thread)


def _gone(pid: int) -> NoV8StackError:
    return NoV8StackError("gone", f"process {pid} has ended, or runs another program")
