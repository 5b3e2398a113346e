"""
The slope of a noisy series, and the interval that it lies in: Theil and Sen's, with Kendall's statistic. Pure.

The slope is the median of those of all pairs of points, which a quarter of wild points does not move; its interval
is that of all slopes that Kendall's test does not reject. Points that follow each other within seconds are not
independent, so a series is first cut into blocks, each told by its lowest value: what a capture or a scrape has
taken for a moment is given back within one, and what is kept is in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import median

__all__ = ["Point", "Slope", "lows", "slope"]

NORMAL = 1.96
"""95 %."""
Point = tuple[float, float]
"""Time in seconds, value."""
Slope = tuple[float, float, float]
"""In units an hour: the slope, and both ends of its interval."""


def lows(points: Sequence[Point], block_seconds: float) -> list[Point]:
    """The lowest point of each block, at the middle of its block."""
    blocks: dict[int, list[float]] = {}
    for when, value in points:
        blocks.setdefault(int(when // block_seconds), []).append(value)
    return [((number + 0.5) * block_seconds, min(values)) for number, values in sorted(blocks.items())]


def slope(points: Sequence[Point]) -> Slope:
    """Of at least two points at different times."""
    slopes = sorted(3600 * (b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2))
    count, pairs = len(points), len(slopes)
    spread = NORMAL * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((pairs - spread) / 2))
    high = min(pairs - 1, math.ceil((pairs + spread) / 2))
    return median(slopes), slopes[low], slopes[high]
