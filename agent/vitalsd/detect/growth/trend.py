"""
Where memory is going: the line through its peaks, and when that meets the limit. Of one process, or of all that
share a limit: what is left to them counts as what they use, below zero, and the limit is zero.

By peaks, because it is a peak that the kernel kills at; over the last six hours, or the last one when things go
fast: each looks four times as far ahead as it looks back. A line that has flattened tells nothing of the future.
Pure.
"""

from __future__ import annotations

import math
from array import array
from itertools import count as count_up
from operator import mul

import msgspec

from vitalsd.detect.growth.floors import Floors, median
from vitalsd.detect.growth.plan import Plan

__all__ = ["Exhaustion", "Peaks", "line", "onset"]

LONG_POINTS = 72
SHORT_POINTS = 12
"""Six hours and one hour, in shortest blocks."""
AHEAD = 4
"""Times as far as it looks back."""
HELD = 6
"""Blocks for which it must have been so: half an hour."""
STILL_GROWS = 0.5
"""The slope of the later half, in that of the whole."""
FITS = 0.6
"""Of the variance, explained by the line."""
STEEPEST = 1.6
"""No line through some values rises by more of what lies between them: a single step makes 1.5."""
STEEP = 8
"""Blocks at the least that the growth of one is to be told by."""


class Exhaustion(msgspec.Struct, frozen=True):
    """The line that meets the limit."""

    bytes_per_second: float
    seconds_left: float
    window_seconds: float
    since: float
    """Unix time since when it has been so."""


class Peaks:
    """The highest value of each of the latest shortest blocks of one lifetime."""

    __slots__ = ("_high", "_highs", "_number", "_plan", "_since", "exhaustion")

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._highs = array("d")
        self._number: int | None = None
        self._high = -math.inf
        self._since: dict[int, float] = {}
        self.exhaustion: Exhaustion | None = None

    def reborn(self) -> None:
        """Another process has the slot."""
        del self._highs[:]
        self._number, self._high = None, -math.inf
        self._since.clear()
        self.exhaustion = None

    def add(self, at: float, value: float, limit: float | None) -> None:
        """Take in a reading; a new judgement when a block is complete."""
        number = int(at // self._plan.base_seconds)
        if self._number is None:
            self._number = number
        if number <= self._number:
            self._high = max(self._high, value)
            return
        if number - self._number > 2:  # the line would have a hole in it
            del self._highs[:]
        else:
            self._highs.append(self._high)
            del self._highs[:-LONG_POINTS]
        self._number, self._high = number, value
        self._judge(at, limit)

    def latest(self) -> float | None:
        """The highest of the last few blocks: what a limit is compared with."""
        return max([*self._highs[-HELD:], self._high]) if self._highs else None

    def by_now(self, per_second: float, seconds: float) -> float | None:
        """The highest of this time, each by now so much higher as this pace makes it: garbage comes again."""
        base = self._plan.base_seconds
        highs = reversed(self._highs[-round(seconds / base) :])
        return max((high + per_second * base * back for back, high in zip(count_up(0.5), highs)), default=None)

    def slope(self) -> float | None:
        """Bytes per second over the last six hours, or over what is known of them, from half an hour on."""
        if len(self._highs) < HELD:
            return None
        return line(self._highs)[0] / self._plan.base_seconds

    def _judge(self, at: float, limit: float | None) -> None:
        found = None
        for points in (LONG_POINTS, SHORT_POINTS):
            told = self._meets(points, limit) if limit is not None else None
            if told is None:
                self._since.pop(points, None)
                continue
            since = self._since.setdefault(points, at)
            if at - since >= HELD * self._plan.base_seconds and found is None:
                found = Exhaustion(told[0], told[1], points * self._plan.base_seconds, since)
        self.exhaustion = found

    def _meets(self, points: int, limit: float) -> tuple[float, float] | None:
        """Slope and seconds left, where the line meets the limit soon enough."""
        if len(self._highs) < points:
            return None
        highs = self._highs[-points:]
        base = self._plan.base_seconds
        ahead = min(self._plan.exhaustion_seconds, AHEAD * points * base)
        half = points // 2
        left = limit - max(highs[-HELD:])
        if left > STEEPEST * (max(highs) - min(highs)) / (points * base) * ahead:
            return None
        if sum(highs[half:]) <= sum(highs[:half]):
            return None  # most of the time this is all
        slope, fit = line(highs)
        if slope <= 0 or fit < FITS or left > slope / base * ahead:
            return None
        later = line(highs[half:])[0]
        if later < STILL_GROWS * slope:
            return None
        # It is the pace at the end that counts, where that has risen.
        pace = max(slope, later) / base
        return pace, max(0.0, left / pace)


def line(values: array[float]) -> tuple[float, float]:
    """The slope per step of the line of least squares, and the share of the variance that it explains."""
    count = len(values)
    middle = (count - 1) / 2
    mean = sum(values) / count
    spread = count * (count * count - 1) / 12
    together = sum(map(mul, count_up(-middle), values))
    variance = sum([(value - mean) * (value - mean) for value in values])
    slope = together / spread if spread > 0 else 0.0
    return slope, slope * together / variance if variance > 0 else 0.0


def onset(floors: Floors, window_seconds: float) -> tuple[float, float]:
    """
    When the growth of a window began, and how fast it has been since, per second.

    Two lines through the latest floors of this lifetime, level, then rising, that meet where they fit best; the
    pace is the median of the slopes between any two floors after that.
    """
    blocks = floors.of(window_seconds)
    first = len(blocks.lows) - min(3 * STEEP, blocks.own_count())
    lows = [low for low in blocks.lows[first:].tolist() if low == low]
    count = len(lows)
    best = (math.inf, 0)
    for bend in range(max(1, count - STEEP // 2)):
        level = sum(lows[: bend + 1]) / (bend + 1)
        steps = [index - bend for index in range(bend + 1, count)]
        rises = [low - level for low in lows[bend + 1 :]]
        square = sum(step * step for step in steps)
        slope = sum(step * rise for step, rise in zip(steps, rises, strict=True)) / square if square else 0.0
        error = sum((low - level) ** 2 for low in lows[: bend + 1])
        error += sum((rise - slope * step) ** 2 for step, rise in zip(steps, rises, strict=True))
        if error < best[0]:
            best = (error, bend)
    began = blocks.ends_at - (count - best[1] - 0.5) * blocks.length
    return began, _pace(lows[best[1] + 1 :]) / blocks.length


def _pace(lows: list[float]) -> float:
    """Per block, by Theil and Sen."""
    slopes = [(later - first) / (j - i) for i, first in enumerate(lows) for j, later in enumerate(lows) if j > i]
    return median(slopes) if slopes else 0.0
