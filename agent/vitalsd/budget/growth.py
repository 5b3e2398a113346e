"""
How much a process grew within a run: the lowest that it held late in its life, less the lowest of early on.

Whatever starts also grows: imports, caches, pools. So the first quarter of its life is left out, and what is
compared are floors, since garbage comes and goes: the lowest reading between 25 and 40 % of its life, and the
lowest of its last 15 %. The live heap after a full collection is compared where there was one in both parts. Else
Python's heap in use is, in which little garbage lies, for most is freed at once; of V8's most is garbage, and
nothing is said. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vitalsd.budget.model import Growth, NotMeasured

__all__ = ["LEAST_SECONDS", "HeapPoint", "HeapSeries", "measured"]

LEAST_SECONDS = 10.0
"""A shorter life is all start: there the two parts are a second and a half long."""
EARLY = (0.25, 0.40)
LATE = (0.85, 1.0)
MOST_POINTS = 1024
SPACING_SECONDS = 0.5
"""Between points that tell the same."""
LIVE = "live heap after full collections"
USED = "heap in use"


class HeapPoint(msgspec.Struct, frozen=True):
    """What was told of a heap at one moment."""

    age_seconds: float
    used_bytes: int | None
    live_bytes: int | None
    """After a full collection since the point before; None where there was none."""


class HeapSeries:
    """What one process told, in bounded room: where there is too much of it, the lower of each two stays."""

    def __init__(self) -> None:
        self.points: list[HeapPoint] = []
        self._last: tuple[int | None, int | None] = (None, None)

    def add(self, age_seconds: float, used_bytes: int | None, live_bytes: int | None) -> None:
        """What is told now: the same until the probe has read again, which takes it a second at most."""
        same = (used_bytes, live_bytes) == self._last
        if same and self.points and age_seconds - self.points[-1].age_seconds < SPACING_SECONDS:
            return
        fresh = live_bytes if live_bytes != self._last[1] else None
        self._last = used_bytes, live_bytes
        self.points.append(HeapPoint(age_seconds, used_bytes, fresh))
        if len(self.points) > MOST_POINTS:
            kept = self.points
            pairs = zip(kept[::2], kept[1::2], strict=False)
            self.points = [_lower(one, other) for one, other in pairs] + kept[len(kept) // 2 * 2 :]


def _lower(one: HeapPoint, other: HeapPoint) -> HeapPoint:
    if one.live_bytes is not None and other.live_bytes is not None:
        return min(one, other, key=lambda point: point.live_bytes or 0)
    if one.live_bytes is not None or other.live_bytes is not None:
        return one if one.live_bytes is not None else other
    return min(one, other, key=lambda point: point.used_bytes if point.used_bytes is not None else 1 << 62)


def measured(points: Sequence[HeapPoint], runtime: str, lived_seconds: float) -> Growth | NotMeasured:
    """What a process of this age has grown by."""
    if lived_seconds < LEAST_SECONDS:
        short = f"it lived for {lived_seconds:.1f} s, and growth shows after {LEAST_SECONDS:.0f} s at the earliest"
        return NotMeasured(short, is_young=True)
    early, late = (
        [point for point in points if low * lived_seconds <= point.age_seconds <= high * lived_seconds]
        for low, high in (EARLY, LATE)
    )
    live = _between(LIVE, _floor(early, live=True), _floor(late, live=True))
    if live is not None:
        return live
    if runtime == "node":
        return NotMeasured("V8 made no full collection both early and late in its life: let it run for longer")
    used = _between(USED, _floor(early, live=False), _floor(late, live=False))
    return used or NotMeasured("its heap was not read both early and late in its life")


def _floor(points: Sequence[HeapPoint], *, live: bool) -> tuple[int, float] | None:
    found = [(point.live_bytes if live else point.used_bytes, point.age_seconds) for point in points]
    return min(((size, age) for size, age in found if size is not None), default=None)


def _between(what: str, early: tuple[int, float] | None, late: tuple[int, float] | None) -> Growth | None:
    if early is None or late is None:
        return None
    return Growth(what, early[0], late[0], early[1], late[1])
