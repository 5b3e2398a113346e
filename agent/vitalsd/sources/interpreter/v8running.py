"""
The stacks of a thread of a Node that computes, from samples of it, and what V8 is at meanwhile.

A sample in the loop that empties the queue of microtasks, between two of them, has no function on its stack; it is
told as a stack of that loop. A short tick is compiled into the function that empties their queue, and has no frame
of its own there: it is the one function of the service's that this frame refers to.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

from vitalsd.model import Frame
from vitalsd.sources.interpreter.bounded import SpentError
from vitalsd.sources.interpreter.memory import POINTER, TornError
from vitalsd.sources.interpreter.v8objects import V8Objects
from vitalsd.sources.interpreter.v8process import V8Look, V8Processes, Who
from vitalsd.sources.interpreter.v8queues import (
    BETWEEN,
    DRAINS,
    microtasks_of,
    microtasks_taken,
    ticks_of,
    ticks_taken,
)
from vitalsd.sources.interpreter.v8sampled import Sampled, functions_of
from vitalsd.sources.interpreter.v8stack import both_ends
from vitalsd.sources.perf import UserSample

__all__ = ["Glance", "Stacks", "V8Running"]

GARBAGE = 1
"""What V8 is at, by its own numbers (`v8::StateTag`)."""
KEPT_QUEUES = 256


Taken = tuple[tuple[int, int] | None, int | None]
"""Where one of them is another a moment later, a callback has ended meanwhile, and another was begun."""


Stacks = list[tuple[float, tuple[Frame, ...]]]


class Glance(msgspec.Struct, frozen=True):
    """What V8 is at, at one moment; what is not known of it is None."""

    collecting: bool | None = None
    """Whether it collects garbage."""
    taken: Taken = (None, None)
    """Up to where its queues of ticks and of microtasks are taken."""


def _is_own(file: str) -> bool:
    """Whether it may be the service's: Node's own have names that begin so, and what is of no file is V8's."""
    return file != "" and not file.startswith("node:")


class _Queues(msgspec.Struct):
    """Where those of a thread are, as far as they were found."""

    ticks: int | None = None
    microtasks: int | None = None


class V8Running:
    """Those of all processes; to be used by one thread."""

    def __init__(self, processes: V8Processes) -> None:
        self._processes = processes
        self._queues: OrderedDict[Who, _Queues] = OrderedDict()

    def stacks(self, look: V8Look, samples: Sequence[UserSample]) -> Stacks:
        """Those of samples that make sense, each with its moment, innermost frame first."""
        objects = V8Objects(look.memory, look.layout)
        found = []
        for sample in samples:
            with suppress(TornError, SpentError):
                frames = self._frames(look, objects, sample)
                found += [(sample.at, frames)] if frames else []
        queues = self._of(look.who)
        if queues.microtasks is None and samples:
            text = samples[-1].text
            with suppress(SpentError):
                words = struct.unpack_from(f"<{len(text) // POINTER.size}Q", text)
                queues.microtasks = microtasks_of(look.memory, words)
        return found

    def glance(self, look: V8Look) -> Glance:
        """What V8 is at, as far as it is known where it says so."""
        queues, memory = self._of(look.who), look.memory
        ticks = ticks_taken(memory, queues.ticks) if queues.ticks is not None else None
        microtasks = microtasks_taken(memory, queues.microtasks) if queues.microtasks is not None else None
        if ticks is None:
            queues.ticks = None  # a collection has moved it: it is found again with the next samples
        if microtasks is None:
            queues.microtasks = None
        return Glance(self._collecting(look), (ticks, microtasks))

    def _collecting(self, look: V8Look) -> bool | None:
        note = self._processes.note(look.who)
        if note is not None:
            with suppress(TornError):
                return int.from_bytes(look.memory.read(note + look.layout.state, 2), "little") == GARBAGE
        return None

    def _of(self, who: Who) -> _Queues:
        queues = self._queues.setdefault(who, _Queues())
        while len(self._queues) > KEPT_QUEUES:
            self._queues.popitem(last=False)
        return queues

    def _frames(self, look: V8Look, objects: V8Objects, sample: UserSample) -> tuple[Frame, ...]:
        found = functions_of(look.memory, look.layout, sample, self._processes.note(look.who))
        if found is None:
            return ()
        self._processes.remember(look.who, found.note)
        frames = objects.frames(both_ends(found.functions))
        if not frames:
            return BETWEEN[1:] if found.builtin else ()
        names = [(frame.function, frame.file) for frame in frames]
        if DRAINS in names:
            self._find_queue(look, objects, found.functions)
        if names[0] == DRAINS:
            frames = [*self._compiled_in(objects, found), *frames]
        return tuple(frames)

    def _compiled_in(self, objects: V8Objects, found: Sampled) -> list[Frame]:
        named = [(each, objects.named(each)) for each in found.held]
        own = [each for each, known in named if known is not None and _is_own(known[1])]
        return objects.frames(own) if len(own) == 1 else []

    def _find_queue(self, look: V8Look, objects: V8Objects, functions: Iterable[int]) -> None:
        queues = self._of(look.who)
        function = next((each for each in functions if objects.named(each) == DRAINS), None)
        if queues.ticks is None and function is not None:
            queues.ticks = ticks_of(look.memory, look.layout, function)
