"""
The JavaScript functions on the stack of a thread that was sampled while it ran.

In JavaScript the frame pointer begins the chain of frames. In C++ it does too where that keeps frame pointers, as
Node's own does: then the chain passes the frame in which JavaScript was left, and what is further in is no
function's. Where C++ has used the register for something else, the isolate's note of that frame is asked, as of a
thread that is in a call. A chain counts only if it leads, always outwards, to where C++ has called JavaScript.
"""

from __future__ import annotations

import msgspec

from vitalsd.sources.interpreter.bounded import BoundedMemory
from vitalsd.sources.interpreter.memory import POINTER, TornError, pointer_at
from vitalsd.sources.interpreter.v8layout import V8Layout
from vitalsd.sources.interpreter.v8objects import TAG, is_object
from vitalsd.sources.interpreter.v8stack import V8Stack, note_of_exit
from vitalsd.sources.perf import UserSample

__all__ = ["Sampled", "functions_of"]

MOST_HOPS = 8192
MOST_KINDS = 64
MOST_HELD = 64


class Sampled(msgspec.Struct, frozen=True):
    """What one sample has shown."""

    functions: list[int]
    """JSFunctions, innermost first; of builtins too."""
    note: int | None
    """Where the isolate notes its exit frame, as far as it is known."""
    builtin: bool = False
    """It was in a builtin of V8's own, and in no function at all: the one that empties the queue of microtasks."""
    held: tuple[int, ...] = ()
    """What the innermost frame and registers refer to; a function that was compiled into it is among that."""


class _Chain(msgspec.Struct, frozen=True):
    frame: int
    left: bool
    """Whether JavaScript was left in this frame."""
    builtin: bool


def functions_of(memory: BoundedMemory, layout: V8Layout, sample: UserSample, note: int | None) -> Sampled | None:
    """What it shows; None where it makes no sense."""
    stack = V8Stack(memory, layout, sample.stack, sample.text)
    chain = _chain(memory, stack, layout, sample.frame)
    if chain is None:
        note = note if note is not None else note_of_exit(memory, stack)
        left_in = pointer_at(memory, note) if note is not None else 0
        if left_in <= sample.stack or not stack.is_exit(left_in):
            return None
        return Sampled(stack.functions(left_in), note)
    if chain.left:
        note = note if note is not None else note_of_exit(memory, stack)
        return Sampled(stack.functions(chain.frame), note)
    if chain.builtin:
        return Sampled(stack.functions(chain.frame), note, builtin=True)
    return Sampled(stack.functions(chain.frame), note, held=_held(stack, sample))


def _chain(memory: BoundedMemory, stack: V8Stack, layout: V8Layout, frame: int) -> _Chain | None:
    """Follow the frames outwards to where C++ has called; None if they do not lead there."""
    begin: int | None = None
    """The innermost of those that lie in a row, up to there, and may be JavaScript's or V8's own."""
    builtin = True
    at = frame
    try:
        if at - 2 * POINTER.size < stack.innermost:
            at = stack.word(at)  # a function that has just begun, and has not put down yet what it is
        for _ in range(MOST_HOPS):
            if stack.is_exit(at):
                return _Chain(at, True, False)
            kind = stack.word(at + layout.frame_kind)
            entry = kind & 1 == 0 and kind >> 1 in layout.entries
            if entry and _is_context(memory, layout, stack.word(at - 2 * POINTER.size)):
                return _Chain(begin if begin is not None else at, False, builtin and begin is not None)
            known = kind & 1 == 0 and kind >> 1 < MOST_KINDS and not entry
            builtin = builtin and known
            if not known and not is_object(kind):
                begin = None
            elif begin is None:
                begin = at
            caller = stack.word(at)
            if caller <= at:
                return None
            at = caller
    except TornError:
        pass
    return None


def _is_context(memory: BoundedMemory, layout: V8Layout, word: int) -> bool:
    """Whether C++ has called with this one: any register that it has saved may look like the kind of a frame."""
    if not is_object(word):
        return False
    try:
        shape = pointer_at(memory, word - TAG + layout.map)
        kind = int.from_bytes(memory.read(shape - TAG + layout.map_type, 2), "little")
    except TornError:
        return False
    return layout.first_context <= kind <= layout.last_context


def _held(stack: V8Stack, sample: UserSample) -> tuple[int, ...]:
    size = min(MOST_HELD, max(0, (sample.frame - sample.stack) // POINTER.size))
    words = [stack.word(sample.frame - POINTER.size * index) for index in range(1, size + 1)]
    return tuple(dict.fromkeys(word for word in (*words, *sample.registers) if is_object(word)))
