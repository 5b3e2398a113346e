"""
Whether the floors of a window have the shape of a leak: a rise that goes on, steadily, above all that was before.

Three ways to see it, each against a different look-alike. `level`: the window rises above the highest floor of the
day and more before it. `day`: it rises against the same hours of the day before, which takes the daily load off.
`birth`: there is no day before it, and a window of a day or more rises by itself. A rise counts by how much it is
and how steady: `share * steadiness`, where steadiness is the mean of its seven steps over their standard error. A
random walk has steps that are as often down, a deployment one step, warm-up and fragmentation steps that shrink.
Pure.

The bounds were tuned on series other than those that docs/leaks.md quotes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from vitalsd.detect.growth.floors import WINDOW_BLOCKS, Blocks, median

__all__ = ["URGENT_BLOCKS", "Bounds", "NotYet", "Rise", "judge", "steadiness", "urgent"]

STEPS = WINDOW_BLOCKS - 1
A_DAY = 0.95
"""So much of a day before the window shows what a day does."""
EARLY_DAYS = 2.0
OF_DAILY_SWING = 0.5
"""Against the day before: so much of the swing that the past had."""
HOLDS = 0.7
"""The second half rises by at least so much of the first: what levels off is no leak."""
AGE_RATIO = 1.6
"""Growth of a life's later half over that of its second quarter: 2 on a line, 1.4 on a root, 1 on a logarithm."""
NEW = 0.2
"""Or it was flatter before: the day before the window had so little of its slope."""
LONG_STEADY, DAY_STEADY, BIRTH_STEADY = 2.2, 4.0, 4.0
VERY_STEADY = 8.0
VERY_STEADY_SHARE = 0.06
VERY_STEADY_NEW = 0.25
VERY_STEADY_BEND = 1.35
"""A line that is hardly disturbed needs to be less long, if it is new, and a line: a week's load bends."""
SEVERAL_DAYS = 4.0
"""Or its lowest of each day rises so: what a daily load adds to a floor of hours, each night takes away."""

URGENT_BLOCKS, URGENT_SHARE, URGENT_STEP = 3, 0.15, 0.25
"""So many floors, each above the one before, that leave the past behind by so much of its level; and by now there
is more. Each time by so much of a step, since what a job takes it takes at once."""

View = Literal["level", "day", "birth", "limit"]


class Bounds(msgspec.Struct, frozen=True):
    """How much of a rise counts, as shares of the level, by the length of the window in days."""

    level: tuple[tuple[float, float], ...]
    day: tuple[tuple[float, float], ...]
    birth: tuple[tuple[float, float], ...]
    beyond: tuple[tuple[float, float], ...]
    """How far above the past, in what the past's highest floor is above its middle one."""
    least: float
    """In the unit of the series: less is nothing, whatever its share."""
    level_score: float = 1.0
    day_score: float = 1.2
    birth_score: float = 1.3
    steady: float = 4.5
    """At least, of windows shorter than a day."""
    early: float = 0.0
    """The least share where less than EARLY_DAYS were seen before the window: it may be the first Monday."""
    now_and_then: bool = False
    """It is measured at collections: the same value again is none."""
    birth_days: float = 1.0
    """Without any other past, windows from this length on, in days."""
    young: float = 2 / 3
    """In the first day of a life shorter windows than this, in days, tell nothing: a cache may fill for hours."""


class Rise(msgspec.Struct, frozen=True):
    """A window that has the shape of a leak."""

    view: View
    window_seconds: float
    ended_at: float
    """Unix time at which the window ended."""
    grew: float
    share: float
    """Of the level before it."""
    steadiness: float
    level: float
    """The floor before it."""
    floors: tuple[float, ...] = ()
    """Left out of what is only near."""

    @property
    def pace_at_end(self) -> float:
        """Of the last floors, per second."""
        steps = (self.floors[-1] - self.floors[-URGENT_BLOCKS]) / (URGENT_BLOCKS - 1)
        return steps / self.window_seconds * WINDOW_BLOCKS


class NotYet(msgspec.Struct, frozen=True):
    """Why a window is none."""

    why: str
    near: Rise | None = None
    """It rises, and what is missing is proof."""
    early: bool = False
    """It could not be judged."""


YOUNG = NotYet("its process is younger than that", early=True)
UNWATCHED = NotYet("part of it was not watched", early=True)
DID_NOT_GROW = NotYet("it did not grow")


def judge(blocks: Blocks, day_seconds: float, bounds: Bounds) -> Rise | NotYet:
    """What the latest window comes to."""
    if blocks.own_count() < WINDOW_BLOCKS:
        return YOUNG
    floors = blocks.window()
    if floors is None:
        return UNWATCHED
    grew = _grew(floors)
    if grew < bounds.least:
        return DID_NOT_GROW
    past, days = blocks.past(), blocks.window_seconds / day_seconds
    per_day = max(1, round(day_seconds / blocks.length))
    if len(past) < A_DAY * per_day:
        return _birth(blocks, floors, grew, days, bounds)
    level = _level(blocks, floors, grew, past, per_day, days, bounds)
    young = blocks.own_count() < A_DAY * per_day and days < bounds.young
    if young and isinstance(level, Rise):
        return NotYet("its process is younger than a {day}", msgspec.structs.replace(level, floors=()))
    if isinstance(level, Rise) or days < 1.0:
        return level
    by_day = _day(blocks, past, per_day, days, bounds)
    return by_day if isinstance(by_day, Rise) else level


def urgent(blocks: Blocks, shorter: Blocks, day_seconds: float) -> Rise | None:
    """
    What a process that is about to meet its limit need show: that its floor rises, and still does.

    Garbage may be so large, and collected so seldom, that no window has eight floors before it is killed.
    """
    floors, per_day = blocks.window(), max(1, round(day_seconds / blocks.length))
    if floors is None or blocks.own_count() < A_DAY * per_day:
        return None
    latest = floors[-URGENT_BLOCKS:]
    least = URGENT_STEP * (latest[-1] - latest[0]) / (URGENT_BLOCKS - 1)
    if least <= 0 or any(after - before < least for before, after in pairwise(latest)):
        return None
    # The oldest may be of a part of its time, in which nothing was collected.
    past = [low for low in blocks.lows[1:-URGENT_BLOCKS] if low == low]
    middle = median(past)
    now = next((low for low in reversed(shorter.lows) if low == low), latest[-1])
    if now - latest[-1] < least or latest[-1] - max(past) < URGENT_SHARE * middle:
        return None
    grew = latest[-1] - middle
    share = grew / middle if middle > 0 else 0.0
    steady = steadiness(floors)
    return Rise("limit", blocks.window_seconds, blocks.ends_at, grew, share, steady, middle, tuple(floors))


def _level(
    blocks: Blocks,
    floors: list[float],
    grew: float,
    past: Sequence[float],
    per_day: int,
    days: float,
    bounds: Bounds,
) -> Rise | NotYet:
    """Above all that was before."""
    middle, highest = median(past), max(past)
    highest = max(highest, blocks.highest_earlier())
    if middle <= 0:
        return NotYet("it was nothing before")
    beyond = min(floors[-2:]) - highest
    if beyond <= 0:
        return NotYet("it was as high before")
    steady = steadiness(_measured(floors) if bounds.now_and_then else floors)
    if days >= SEVERAL_DAYS:
        by_day = steadiness([min(floors[first : first + per_day]) for first in range(0, WINDOW_BLOCKS, per_day)])
        steady = max(steady, by_day if by_day >= VERY_STEADY else 0.0)
    share, ratio = grew / middle, _halves(floors)
    rise = Rise("level", blocks.window_seconds, blocks.ends_at, grew, share, steady, middle)
    if ratio < HOLDS:
        return NotYet("it levels off")
    if beyond < _at(bounds.beyond, days) * (highest - middle):
        return NotYet("it is hardly higher than it was before")
    least = _at(bounds.level, days)
    needed = bounds.steady if days < 1.0 else LONG_STEADY
    before = _slope_before(past, per_day) / (grew / blocks.window_seconds * blocks.length)
    line = (
        0.5 < days <= 1.0
        and beyond >= min(least, VERY_STEADY_SHARE) * middle
        and steady >= VERY_STEADY
        and before <= VERY_STEADY_NEW
        and ratio <= VERY_STEADY_BEND
    )
    if not line:
        if beyond < least * middle:
            return NotYet("it has not grown by much", rise)
        if share < bounds.early and len(past) < EARLY_DAYS * per_day:
            return NotYet("too few {day}s are known to tell it from load", rise)
        if steady < needed or share * steady < bounds.level_score:
            return NotYet("it does not grow steadily", rise)
    if before > NEW and not _ages(blocks):
        return NotYet("it grows more slowly the older it gets")
    return msgspec.structs.replace(rise, floors=tuple(floors))


def _day(blocks: Blocks, past: Sequence[float], per_day: int, days: float, bounds: Bounds) -> Rise | NotYet:
    """Above the same hours of the last day before it."""
    back = math.ceil(WINDOW_BLOCKS / per_day) * per_day
    floors, before = blocks.window(), blocks.window(back)
    if floors is None or before is None:
        return NotYet("the {day} before was not watched")
    middle, highest, lowest = median(past), max(past), min(past)
    above = [now - then for now, then in zip(floors, before, strict=True)]
    grew, steady = _grew(above), steadiness(above)
    share = grew / middle if middle > 0 else 0.0
    if min(floors[-2:]) <= highest or min(above[WINDOW_BLOCKS // 2 :]) <= 0:
        return NotYet("it was as high before")
    if grew < max(_at(bounds.day, days) * middle, OF_DAILY_SWING * (highest - lowest)):
        return NotYet("it has not grown by much against the {day} before")
    if steady < DAY_STEADY or share * steady < bounds.day_score:
        return NotYet("it does not grow steadily against the {day} before")
    if _halves(above) < HOLDS:
        return NotYet("it levels off")
    slope_before = _slope_before(past, per_day) / (grew / blocks.window_seconds * blocks.length)
    if slope_before > NEW and not _ages(blocks):
        return NotYet("it grows more slowly the older it gets")
    return Rise("day", blocks.window_seconds, blocks.ends_at, grew, share, steady, middle, tuple(floors))


def _birth(blocks: Blocks, floors: list[float], grew: float, days: float, bounds: Bounds) -> Rise | NotYet:
    """A long rise of a process that has no other past."""
    if _halves(floors) < HOLDS:
        return NotYet("it levels off")
    level = floors[0]
    share, steady = grew / level if level > 0 else 0.0, steadiness(floors)
    rise = Rise("birth", blocks.window_seconds, blocks.ends_at, grew, share, steady, level)
    if days < bounds.birth_days:
        return NotYet("there is no {day} before it to compare with", rise)
    if share < _at(bounds.birth, days):
        return NotYet("it has not grown by much", rise)
    if steady < BIRTH_STEADY or share * steady < bounds.birth_score:
        return NotYet("it does not grow steadily", rise)
    if not _ages(blocks):
        return NotYet("it grows more slowly the older it gets")
    return msgspec.structs.replace(rise, floors=tuple(floors))


def steadiness(floors: Sequence[float]) -> float:
    """The mean step over its standard error: large for a line, about 1 for a single step, small for noise."""
    steps = [after - before for before, after in pairwise(floors)]
    mean, count = sum(steps) / len(steps), len(steps)
    if mean <= 0:
        return 0.0
    deviation = math.sqrt(sum((step - mean) ** 2 for step in steps) / (count - 1))
    return min(1000.0, mean * math.sqrt(count) / deviation) if deviation > 0 else 1000.0


def _measured(floors: Sequence[float]) -> list[float]:
    """The floors, with what lies between two that differ on the line between them."""
    known = [0, *(index for index in range(1, len(floors)) if floors[index] != floors[index - 1])]
    measured = list(floors)
    for first, then in pairwise(known):
        step = (floors[then] - floors[first]) / (then - first)
        for index in range(first + 1, then):
            measured[index] = floors[first] + step * (index - first)
    return measured


def _grew(floors: Sequence[float]) -> float:
    return (floors[-1] + floors[-2] - floors[0] - floors[1]) / 2 * STEPS / (STEPS - 1)


def _halves(floors: Sequence[float]) -> float:
    first = floors[WINDOW_BLOCKS // 2 - 1] - floors[0]
    second = floors[-1] - floors[WINDOW_BLOCKS // 2]
    return second / first if first > 0 else math.inf


def _slope_before(past: Sequence[float], per_day: int) -> float:
    """Growth per block over the last day of the past, whatever the hour it ends at."""
    day = past[-per_day:]
    return (sum(day[-2:]) - sum(day[:2])) / 2 / per_day


def _ages(blocks: Blocks) -> bool:
    """Whether growth keeps its pace as the process gets older."""
    own = blocks.lows[len(blocks.lows) - blocks.own_count() :]
    now, half, quarter = (_around(own, share) for share in (1.0, 0.5, 0.25))
    earlier = half - quarter
    return earlier <= 0 or (now - half) / earlier >= AGE_RATIO


def _around(own: Sequence[float], share: float) -> float:
    end = max(1, round(len(own) * share))
    known = [floor for floor in own[max(0, end - 4) : end] if floor == floor]
    return median(known) if known else math.nan


def _at(table: tuple[tuple[float, float], ...], days: float) -> float:
    """Between the lengths of a table; the first and the last hold beyond."""
    if days <= table[0][0]:
        return table[0][1]
    for (shorter, low), (longer, high) in pairwise(table):
        if days <= longer:
            return low + (high - low) * (days - shorter) / (longer - shorter)
    return table[-1][1]
