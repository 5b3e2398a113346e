"""
The floors of a series: its lowest value in each block of time, for blocks of several lengths.

Garbage that waits for its collector, a burst, a nightly job come down again; what has leaked does not. So growth
is judged by floors. A block of each length costs four bytes. Blocks lie on the clock's own grid, which joins the
lifetimes of a slot: how a worker is judged depends on how its predecessors went. Pure.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

__all__ = ["WINDOW_BLOCKS", "Blocks", "Floors", "median"]

WINDOW_BLOCKS = 8
"""A window is judged by so many floors."""
MISSING = math.nan
MOST = 2.0**100
"""What a damaged segment says, at the most: four bytes hold no number of any size."""
MISSING_ALLOWED = 2
"""Inner blocks of a window that nobody was there to read: they lie between their neighbours."""


def median(values: Sequence[float]) -> float:
    """The middle one: the library's own brings two megabytes of fractions along."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


class Blocks:
    """The floors of one length, oldest first."""

    __slots__ = (
        "_keep",
        "_per_base",
        "elder",
        "first",
        "length",
        "low",
        "lows",
        "over_at",
        "own",
        "window_seconds",
    )

    def __init__(self, length: float, per_base: int, keep: int) -> None:
        self.length = length
        """Seconds of a block."""
        self.window_seconds = length * WINDOW_BLOCKS
        self.elder: Blocks | None = None
        """Longer ones of the same series, which are remembered for longer."""
        self.lows = array("f")
        self.first = 0
        """The number of the oldest block on the clock's grid."""
        self.own = 0
        """The number of the first that lies wholly in the present lifetime."""
        self._per_base = per_base
        self._keep = keep
        self.low = math.inf
        """Of the block that is not over yet."""
        self.over_at = 0
        """The number, in shortest blocks, at which it is."""

    def begin(self, base_number: int) -> None:
        """The first block is the one that this of the shortest length lies in."""
        self.first = base_number // self._per_base
        self.over_at = (self.first + 1) * self._per_base

    def complete(self, base_number: int) -> None:
        """That block of the shortest length, at `over_at` or after it, is the one that goes on now."""
        number, ended = base_number // self._per_base, self.over_at // self._per_base
        self.lows.append(self.low if self.low < math.inf else MISSING)
        self.low = math.inf
        if number - ended > self._keep:  # nobody was here for longer than anything is remembered
            self.first = number
            del self.lows[:]
        else:
            self.lows.extend([MISSING] * (number - ended))
        self.over_at = (number + 1) * self._per_base
        if len(self.lows) > self._keep + WINDOW_BLOCKS * 2:
            excess = len(self.lows) - self._keep
            del self.lows[:excess]
            self.first += excess

    def reborn(self, base_number: int) -> None:
        """Another process has the slot, whose readings count from this block of the shortest length on."""
        self.own = -(-base_number // self._per_base)

    @property
    def ends_at(self) -> float:
        """Unix time at which the latest complete block ended."""
        return (self.first + len(self.lows)) * self.length

    def own_count(self) -> int:
        """Complete blocks of the present lifetime."""
        return min(len(self.lows), max(0, self.first + len(self.lows) - self.own))

    def window(self, back: int = 0) -> list[float] | None:
        """The latest eight floors, or those `back` blocks before; None where too much of them is missing."""
        end = len(self.lows) - back
        if end < WINDOW_BLOCKS:
            return None
        floors = self.lows[end - WINDOW_BLOCKS : end].tolist()
        if not math.isnan(sum(floors)):
            return floors
        missing = [index for index, floor in enumerate(floors) if floor != floor]
        if len(missing) > MISSING_ALLOWED or missing[0] == 0 or missing[-1] == WINDOW_BLOCKS - 1:
            return None
        for index in missing:
            after = next(floor for floor in floors[index:] if floor == floor)
            floors[index] = (floors[index - 1] + after) / 2
        return floors

    def highest_earlier(self) -> float:
        """The highest floor of the longer blocks that ended before these begin; what is remembered of it."""
        elder = self.elder
        if elder is None:
            return -math.inf
        count = max(0, math.ceil(self.first * self.length / elder.length) - elder.first)
        return max((low for low in elder.lows[:count] if low == low), default=-math.inf)

    def past(self) -> Sequence[float]:
        """What was before the window, of all lifetimes."""
        before = self.lows[: max(0, len(self.lows) - WINDOW_BLOCKS)]
        return [floor for floor in before if floor == floor]


class Floors:
    """One series of one slot."""

    __slots__ = ("_base", "_begins_at", "_ends_at", "_low", "_number", "blocks")

    def __init__(self, base_seconds: float, keep: Mapping[int, int]) -> None:
        """The shortest block is `base_seconds` long, the others are so many of it, each with how many are kept."""
        self._base = base_seconds
        self.blocks = tuple(
            Blocks(base_seconds * multiple, multiple, count) for multiple, count in sorted(keep.items())
        )
        spans = [blocks.length * keep[round(blocks.length / base_seconds)] for blocks in self.blocks]
        longest = max(spans)
        eldest = next(blocks for blocks, span in zip(self.blocks, spans, strict=True) if span >= 0.99 * longest)
        for blocks, span in zip(self.blocks, spans, strict=True):
            if span < 0.99 * longest:
                blocks.elder = eldest
        self._low = math.inf
        self._number: int | None = None
        self._begins_at = self._ends_at = math.inf
        """Unix times of the shortest block that is not over yet."""

    def add(self, at: float, value: float) -> Sequence[Blocks]:
        """Take in a reading; the lengths of which it has completed a block."""
        if self._begins_at <= at < self._ends_at:  # most of the time this is all
            if value < self._low:
                self._low = value
            return ()
        number = int(at // self._base)
        if self._number is None:
            for blocks in self.blocks:
                blocks.begin(number)
            self._enter(number, value)
            return ()
        if number < self._number:
            return ()  # a clock that was set back; what is known of that time is known
        completed, low = [], min(self._low, MOST)
        for blocks in self.blocks:
            if low < blocks.low:
                blocks.low = low
            if number >= blocks.over_at:
                blocks.complete(number)
                completed.append(blocks)
        self._enter(number, value)
        return completed

    def _enter(self, number: int, value: float) -> None:
        self._number, self._low = number, value
        self._begins_at, self._ends_at = number * self._base, (number + 1) * self._base

    def of(self, window_seconds: float) -> Blocks:
        """The blocks of this window, or of the next longer one."""
        return next(each for each in self.blocks if each.window_seconds >= window_seconds)

    def reborn(self, at: float) -> None:
        """Another process has the slot; its readings count from `at` on."""
        for blocks in self.blocks:
            blocks.reborn(math.ceil(at / self._base))
