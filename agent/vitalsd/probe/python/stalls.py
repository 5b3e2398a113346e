"""
Remembers stalls: the one in progress of each loop with the stacks seen so far, and the last few that ended.

The watchdog adds stacks while a stall lasts; the loop's own thread closes the stall and moves them to the ring.
Costs nothing until something stalls.
"""

from __future__ import annotations

import os
import sys
from time import monotonic, time

from . import layout

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from types import FrameType

    from .segment import Segment

    Stack = tuple[tuple[str, str, int], ...]

MAX_FRAMES = 60
DISTINCT_STACKS = 3
UNKNOWN = float("nan")
GIL = getattr(sys, "_is_gil_enabled", bool)() or not hasattr(sys, "_is_gil_enabled")
OWN_FOLDER = __file__.rpartition("/")[0] + "/"
"""A callback of ours may be what runs at the moment of the sample; the stall is not its doing."""


def read_stack(frame: FrameType | None) -> Stack:
    """Function, file and line of each frame but our own, innermost first; no values, ever."""
    frames: list[tuple[str, str, int]] = []
    if not GIL:
        return ()  # the thread runs on while we would walk its frames
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(OWN_FOLDER):
            if len(frames) == MAX_FRAMES:
                del frames[MAX_FRAMES * 2 // 3]
            name = getattr(code, "co_qualname", code.co_name)
            frames.append((name, code.co_filename, frame.f_lineno or 0))
        frame = frame.f_back
    return tuple(frames)


def encode(stacks: list[Seen]) -> bytes:
    """
    Stacks as text: a line `#samples`, then `function TAB file TAB line` for each frame.

    What does not fit is cut from the middle of each stack: its ends, the blocking call and the loop's callback,
    are what tells.
    """
    room = layout.STACK_BYTES // max(1, len(stacks))
    return b"".join(encode_stack(entry.samples, entry.stack, room) for entry in stacks)


def encode_stack(samples: int, frames: Stack, room: int) -> bytes:
    """One of them, in this many bytes."""
    head = b"#%d\n" % samples
    lines = [b"%s\t%s\t%d\n" % (plain(function), plain(file), line) for function, file, line in frames]
    while lines and len(head) + sum(map(len, lines)) > room:
        del lines[len(lines) * 2 // 3]
    return head + b"".join(lines)


def plain(text: str) -> bytes:
    """A name on one line, of its last 200 bytes at most: the end of a path tells more than its beginning."""
    encoded = text.replace("\t", " ").replace("\n", " ").encode("utf-8", "replace")[-200:]
    return encoded.decode("utf-8", "ignore").encode()


class Seen:
    """A stack and how often it was seen."""

    __slots__ = ("samples", "stack")

    def __init__(self, stack: Stack) -> None:
        self.samples = 1
        self.stack = stack


class StallBook:
    """The stalls of this process."""

    def __init__(self, segment: Segment, threshold_seconds: float) -> None:
        self.threshold_seconds = threshold_seconds
        self._segment = segment
        self._current: dict[int, tuple[float, float, list[Seen]]] = {}
        self._number = 0

    def sample(self, slot: int, since: float, stack: Stack) -> None:
        """The watchdog saw `stack` in the stall of loop `slot` that began at `since`."""
        began, after, stacks = self._current.get(slot, (0.0, 0.0, []))
        if began != since:
            after, stacks = monotonic() - since, []
        for entry in stacks:
            if entry.stack == stack:
                entry.samples += 1
                break
        else:
            if len(stacks) < DISTINCT_STACKS:
                stacks.append(Seen(stack))
        stacks.sort(key=_by_samples)
        self._current[slot] = (since, after, stacks)
        self._segment.put(layout.CURRENT_STALL[slot], (since,), encode(stacks))

    def ended(
        self, slot: int, since: float, seconds: float, cpu_seconds: float, gc_seconds: float, ready: float
    ) -> None:
        """The stall of loop `slot` is over."""
        began, after, stacks = self._current.pop(slot, (since, UNKNOWN, []))
        if began != since:
            after, stacks = UNKNOWN, []
        number = self._number = self._number + 1
        values = (float(slot), float(number), since, time(), seconds, cpu_seconds, gc_seconds, ready, after)
        self._segment.put(layout.RECENT_STALL[number % layout.RECENT_STALLS], values, encode(stacks))


def _by_samples(entry: Seen) -> int:
    return -entry.samples


def threshold_from_environment() -> float:
    """What `vitalsd run` passes on from the agent's `stall.threshold`; 100 ms otherwise."""
    try:
        return max(0.02, float(os.environ.get("VITALSD_STALL_THRESHOLD", "0.1")))
    except ValueError:
        return 0.1
