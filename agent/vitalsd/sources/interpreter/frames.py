"""
Finds the frame of asyncio's current iteration, `BaseEventLoop._run_once`, and reads three of its locals.

`end_time` is taken right after each select, so it tells one iteration from another and when its callbacks began to
run; `ntodo` is how many of them there are, `i` the one that runs. Until it is taken the frame is new and has no
such local. Names of code objects are read, and values of no other local.

A frame costs 2 us, or 0.4 where it lies beside the one before, as those of plain functions do from 3.11 on.

The process runs on meanwhile, and its memory is used again, for other floats as well. So the frame is read before
and after what its pointers lead to, and the time before and after both. No two iterations have the same time: if
neither the pointer nor the time has changed, it has been one and the same, and the counts are its own.
"""

from __future__ import annotations

import struct

import msgspec

from vitalsd.sources.interpreter.layout import OBJECT_TYPE, Layout
from vitalsd.sources.interpreter.memory import Memory, TornError
from vitalsd.sources.interpreter.objects import NUMBER_BYTES, Types, float_in, names_at, number_in, text_at

__all__ = ["NO_ITERATION", "TURNED", "Frames", "Iteration"]

FUNCTION = "_run_once"
FILE = "asyncio/base_events.py"
LOCALS = ("end_time", "ntodo", "i")
MOST_FRAMES = 500
MOST_EXAMINED = 100
"""Code objects that are new to the reader, in one read; the next one goes on from there."""
MOST_CODES = 4096
FORGET_SECONDS = 10.0
"""A code object may be freed, and its address be that of another."""
BESIDE_BYTES = 3072
ATTEMPTS = (True, True, False, False)
"""Whether to ask for the counts too: an iteration of 10 us is over before they are read."""
MOST_LATER_SECONDS = 3600.0
"""Between two readings of a loop that turns; more is another float."""
MOST_CALLBACKS = 10**8
ADDRESS = ~3
"""3.14 keeps marks in the lowest two bits of a frame's pointers; before, they are always 0."""
POINTER = struct.Struct("<Q")


class Iteration(msgspec.Struct, frozen=True):
    """What the locals say."""

    began: float | None = None
    ready: int | None = None
    ran: int | None = None
    turned: bool = False
    """The frame is between two iterations, or was seen to go on to another."""


NO_ITERATION = Iteration()
TURNED = Iteration(turned=True)


class _Known(msgspec.Struct, frozen=True):
    """The code object of `_run_once`, and where in its frames the locals are."""

    code: int
    slots: tuple[int, ...]
    bytes: int


class Frames:
    """The frames of one process."""

    def __init__(self, memory: Memory, layout: Layout, types: Types) -> None:
        self._memory = memory
        self._layout = layout
        self._types = types
        self._codes: dict[int, _Known | None] = {}
        self._forget_at = 0.0
        self._time: tuple[int, float | None] = (0, None)
        """The last `end_time` that was told, and where it lay."""
        self._place: tuple[int, _Known] | None = None
        """Where the frame was found last."""
        self._latest: float | None = None
        """The last time that was seen there."""
        self._links_bytes = max(layout.frame_code, layout.frame_previous) + POINTER.size
        self._code_bytes = max(layout.code_filename, layout.code_name, layout.code_locals) + POINTER.size
        self._beside = BESIDE_BYTES if layout.thread_native is not None else 0

    @property
    def found_before(self) -> bool:
        """Whether the frame has ever been found."""
        return self._place is not None

    def iteration(self, frame: int, now: float) -> Iteration:
        """The iteration that this frame was called from."""
        try:
            found = self._outward(frame, now)
            if found is None:
                return self._where_it_was()
            self._place = found
            for whole in ATTEMPTS:
                told = self._told(*found, whole)
                if told is not None:
                    self._latest = told.began if told.began is not None else self._latest
                    return told
        except TornError:
            return self._where_it_was()
        return TURNED  # in one long callback nothing of this changes

    def _where_it_was(self) -> Iteration:
        """
        What the place of the frame has, where it was not found by its callers' links.

        With turns of 10 us the links lead nowhere by the time they are followed. The next frame mostly lies where
        the last one did: a later time there shows that the loop turns, and nothing else is believed of it.
        """
        if self._place is None:
            return NO_ITERATION
        try:
            end_time = self._pointers(*self._place)[0]
            began = self._float(end_time) if end_time else None
        except TornError:
            return NO_ITERATION
        before, self._latest = self._latest, began if began is not None else self._latest
        later = began is not None and before is not None and before < began < before + MOST_LATER_SECONDS
        return TURNED if later else NO_ITERATION

    def _outward(self, frame: int, now: float) -> tuple[int, _Known] | None:
        """The nearest frame of `_run_once`."""
        if now >= self._forget_at or len(self._codes) > MOST_CODES:
            self._codes.clear()
            self._forget_at = now + FORGET_SECONDS
        codes, size = self._codes, self._links_bytes
        code_at, previous_at = self._layout.frame_code, self._layout.frame_previous
        base, last, words, examined = 0, -1, memoryview(b""), 0
        for _ in range(MOST_FRAMES):
            if not frame or frame & 7:
                return None
            if not base <= frame <= last:
                base, words = self._around(frame, size)
                last = frame
            code = words[frame - base + code_at >> 3] & ADDRESS
            if code not in codes:
                examined += 1
                if examined > MOST_EXAMINED:
                    return None
                codes[code] = self._examined(code)
            known = codes[code]
            if known is not None:
                return frame, known
            frame = words[frame - base + previous_at >> 3]
        return None

    def _around(self, frame: int, size: int) -> tuple[int, memoryview]:
        """The links of a frame, and what lies before them: its callers, if they are plain functions as well."""
        if self._beside and frame > self._beside:
            try:
                text = self._memory.read(frame - self._beside, self._beside + size)
            except TornError:
                pass
            else:
                return frame - self._beside, memoryview(text).cast("Q")
        return frame, memoryview(self._memory.read(frame, size)).cast("Q")

    def _examined(self, code: int) -> _Known | None:
        """What is to be known of a code object, if it is the one."""
        memory, layout, types = self._memory, self._layout, self._types
        try:
            text = memory.read(
                code, max(layout.code_filename, layout.code_name, layout.code_locals) + POINTER.size
            )
            kind, name, file, names = (
                POINTER.unpack_from(text, at)[0]
                for at in (OBJECT_TYPE, layout.code_name, layout.code_filename, layout.code_locals)
            )
            if kind != types.code or text_at(memory, layout, types, name) != FUNCTION:
                return None
            if not text_at(memory, layout, types, file).endswith(FILE):
                return None
            order = names_at(memory, layout, types, names)
        except TornError:
            return None
        if not all(name in order for name in LOCALS):
            return None
        slots = tuple(layout.frame_locals + POINTER.size * order.index(name) for name in LOCALS)
        return _Known(code, slots, max(slots) + POINTER.size)

    def _told(self, frame: int, known: _Known, whole: bool) -> Iteration | None:
        """What the locals say; None if the iteration was over before they were read."""
        address, began = self._time
        end_time, ntodo, i = self._pointers(frame, known)
        if not end_time:
            return TURNED
        if end_time != address:
            address, began = end_time, self._float(end_time)
            end_time, ntodo, i = self._pointers(frame, known)
        ready, index = (self._number(ntodo), self._number(i)) if whole else (None, None)
        last_end_time, _, last_i = self._pointers(frame, known)
        if began is None:
            return NO_ITERATION
        if not address == end_time == last_end_time or self._float(address) != began:
            self._time = 0, None
            return None
        self._time = address, began
        if ready is None or ready >= MOST_CALLBACKS:
            return Iteration(began)
        ran = None
        if not i:
            ran = 0 if last_i == 0 else None
        elif last_i == i and index is not None and self._number(i) == index < ready:
            ran = index + 1
        return Iteration(began, ready, ran)

    def _pointers(self, frame: int, known: _Known) -> list[int]:
        text = self._memory.read(frame, known.bytes)
        if POINTER.unpack_from(text, self._layout.frame_code)[0] & ADDRESS != known.code:
            raise TornError
        return [POINTER.unpack_from(text, slot)[0] & ADDRESS for slot in known.slots]

    def _float(self, address: int) -> float | None:
        return float_in(self._memory.read(address, NUMBER_BYTES), self._types)

    def _number(self, address: int) -> int | None:
        if not address:
            return None
        return number_in(self._memory.read(address, NUMBER_BYTES), self._layout, self._types)
