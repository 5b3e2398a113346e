"""
How time that fell into the buckets of a delay histogram becomes samples: a probe's, and what is seen from outside.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from vitalsd.probe.python import layout

__all__ = ["cumulative"]

ROUNDING = 0.5 + 1e-6
"""To the nearest. Sums of the same times in another order differ in their last digits: no count falls by that."""


def cumulative(seconds: Iterable[float]) -> tuple[int, ...]:
    """
    Whole samples up to each bound, of the time that fell into each bucket.

    Each bucket is rounded by itself, and none of them ever falls: so what two looks differ by is a histogram too.
    Were the time up to each bound rounded, it would have a sample here and there that nobody has waited.
    """
    interval = layout.DELAY_INTERVAL_SECONDS
    return tuple(accumulate(int(each / interval + ROUNDING) for each in seconds))
