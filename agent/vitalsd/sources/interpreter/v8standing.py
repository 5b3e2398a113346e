"""
The stack of a thread of a Node that is in a call: it stands still, or comes back to the same functions.

It is looked at twice. What both looks have seen is told: all of it where the thread has stood still, and of one
that went from call to call the functions that are the same, from the outermost on.
"""

from __future__ import annotations

import contextlib
import re

import msgspec

from vitalsd.model import Frame
from vitalsd.sources.interpreter.bounded import SpentError
from vitalsd.sources.interpreter.memory import POINTER, TornError, pointer_at
from vitalsd.sources.interpreter.v8objects import V8Objects
from vitalsd.sources.interpreter.v8process import NoV8StackError, V8Look, V8Processes
from vitalsd.sources.interpreter.v8stack import STACK_BYTES, V8Stack, both_ends, note_of_exit
from vitalsd.sources.permission import refusal

__all__ = ["ComputesError", "standing_stack"]

ATTEMPTS = 3
SWITCHES = re.compile(rb"\nvoluntary_ctxt_switches:[ \t]*(\d+)")


class ComputesError(NoV8StackError):
    """It is in no call, so it has to be sampled."""

    def __init__(self, tid: int) -> None:
        super().__init__("failed", f"thread {tid} computes, and has to be sampled for its stack")


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


def standing_stack(processes: V8Processes, look: V8Look) -> tuple[Frame, ...]:
    """The stack, innermost first. Raises NoV8StackError."""
    tid, common = look.who.tid, None
    try:
        for _ in range(ATTEMPTS):
            try:
                standing = _standing(look.process, tid)
                walked = _walk(processes, look, standing)
                frames = V8Objects(look.memory, look.layout).frames(both_ends(walked.functions))
                again = _walk(processes, look, standing)
            except TornError:
                continue
            if walked == again and standing == _standing(look.process, tid):
                if not frames:
                    raise NoV8StackError("failed", f"thread {tid} has no function of a script on its stack")
                return tuple(frames)
            common = _common(walked.functions, again.functions) or common
        frames = V8Objects(look.memory, look.layout).frames(both_ends(common or []))
    except SpentError:
        raise NoV8StackError("failed", f"the stack of thread {tid} takes more than may be read") from None
    if not frames:
        raise NoV8StackError("failed", f"the stack of thread {tid} moved, or made no sense, while it was read")
    return tuple(frames)


def _common(functions: list[int], others: list[int]) -> list[int]:
    """From the outermost on, as far as they are the same."""
    same = 0
    for one, other in zip(reversed(functions), reversed(others), strict=False):
        if one != other:
            break
        same += 1
    return functions[len(functions) - same :]


def _walk(processes: V8Processes, look: V8Look, standing: _Standing) -> _Walked:
    left = _left_in(processes, look, standing)
    if left == 0:
        tid = look.who.tid
        if standing.stack is None:
            raise ComputesError(tid)
        raise NoV8StackError("failed", f"thread {tid} is in no call of JavaScript's, and so has no stack")
    return _Walked(left, V8Stack(look.memory, look.layout, left - 2 * POINTER.size).functions(left))


def _left_in(processes: V8Processes, look: V8Look, standing: _Standing) -> int:
    """The frame in which JavaScript was left; 0 if it is being run, or there is none."""
    memory, layout = look.memory, look.layout
    known = processes.note(look.who)
    if known is not None:
        with contextlib.suppress(TornError):
            left = pointer_at(memory, known)
            if _fits(left, standing, V8Stack(memory, layout, left - 2 * POINTER.size)):
                return left
            if left == 0 and standing.stack is None:
                return 0
    if standing.stack is None:
        raise ComputesError(look.who.tid)
    note = note_of_exit(memory, V8Stack(memory, layout, standing.stack))
    if note is None:
        return 0
    processes.remember(look.who, note)
    return pointer_at(memory, note)


def _fits(left: int, standing: _Standing, stack: V8Stack) -> bool:
    within = standing.stack is None or 0 <= left - standing.stack < STACK_BYTES
    return within and stack.is_exit(left)


def _standing(process: str, tid: int) -> _Standing:
    try:
        with open(f"{process}/task/{tid}/syscall", "rb", buffering=0) as file:  # noqa: PTH123 - a string is what there is
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
