"""
The delay of a part of a run: one histogram less another, less single stretches, and what its 99th percentile is.

A histogram knows between which of its bounds a quantile lies, and that is what is told. Where a limit lies between
the same two, the stalls beyond it decide, if all of them are known. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate, pairwise

from vitalsd.model import Histogram
from vitalsd.probe.python.layout import DELAY_BOUNDS_SECONDS, DELAY_INTERVAL_SECONDS

__all__ = ["Stretches", "less", "quantile_bounds", "share_over", "without"]

SAMPLE_SECONDS = DELAY_INTERVAL_SECONDS
ROUNDING = 1e-6
"""Sums of the same times in another order differ in their last digits."""


def less(whole: Histogram, before: Histogram | None) -> Histogram:
    """What was added to `before` until it became `whole`."""
    if before is None or before.bounds != whole.bounds:
        return whole
    buckets = tuple(max(0, now - then) for now, then in zip(whole.buckets, before.buckets, strict=True))
    return Histogram(whole.bounds, buckets, max(0.0, whole.sum - before.sum))


class Stretches:
    """Busy stretches, as a histogram counts them: each has every wait from its own length down to nothing once."""

    def __init__(self) -> None:
        self.seconds = [0.0] * (len(DELAY_BOUNDS_SECONDS) + 1)
        """Of the waits between two bounds."""
        self.sum = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """One more; -1 times is one less."""
        for index, (lower, upper) in enumerate(pairwise((0.0, *DELAY_BOUNDS_SECONDS, math.inf))):
            self.seconds[index] += times * max(0.0, min(seconds, upper) - lower)
        self.sum += times * seconds * seconds / 2 / SAMPLE_SECONDS

    def samples(self) -> list[int]:
        """
        How many a histogram may have of these between two bounds.

        It rounds to the nearest, all that fell in there together: half a sample of these is never left behind.
        """
        first, *later = (each / SAMPLE_SECONDS for each in self.seconds)
        return [round(first), *(math.ceil(each - ROUNDING) for each in later)]


def without(histogram: Histogram, stretches: Stretches) -> Histogram:
    """The same without these; one that has other bounds is damaged, and stays as it is."""
    if histogram.bounds != DELAY_BOUNDS_SECONDS:
        return histogram
    counts = [later - earlier for earlier, later in pairwise((0, *histogram.buckets))]
    left = (max(0, count - off) for count, off in zip(counts, stretches.samples(), strict=True))
    return Histogram(histogram.bounds, tuple(accumulate(left)), max(0.0, histogram.sum - stretches.sum))


def quantile_bounds(histogram: Histogram, quantile: float) -> tuple[float, float] | None:
    """Above the first and at most the second of these; None without a sample."""
    count = histogram.buckets[-1]
    if count <= 0:
        return None
    lower = 0.0
    for bound, at_most in zip((*histogram.bounds, float("inf")), histogram.buckets, strict=True):
        if at_most >= quantile * count:
            return lower, bound
        lower = bound
    raise AssertionError("the last bucket has all samples")


def share_over(histogram: Histogram, stretches: Iterable[float], limit: float, more_seconds: float = 0.0) -> float:
    """
    The share of all samples that waited longer than `limit`, from every stretch that was longer than that.

    `more_seconds` is by how much others were longer.
    """
    over = more_seconds + sum(seconds - limit for seconds in stretches if seconds > limit)
    return over / (histogram.buckets[-1] * SAMPLE_SECONDS)
