"""
The books of one loop that is seen from outside: busy and idle time, the delay histogram, stalls. Pure.

They are kept as the probe's ledger keeps them: a stretch of length b adds to each bucket the time it spent that
far from its end, and a count is time divided by 20 ms. Time that no stretch of known length covers goes into the
first bucket, so delays below two and a half looks are not told from none. Nothing here ever steps back: what is
not settled yet is in no bucket.
"""

from __future__ import annotations

import math

from vitalsd.model import Histogram
from vitalsd.probe.python import layout
from vitalsd.segment.delay import cumulative

__all__ = ["Books"]

BOUNDS = layout.DELAY_BOUNDS_SECONDS
UPPER_BOUNDS = (*BOUNDS[1:], math.inf)


class Books:
    """What has been booked, for as long as the worker is followed."""

    def __init__(self, threshold_seconds: float) -> None:
        self.threshold_seconds = threshold_seconds
        self.busy_seconds = 0.0
        self.idle_seconds = 0.0
        self.stalls = 0
        self.stall_seconds = 0.0
        self.delay_max_seconds = 0.0
        self._level = 0.0
        self._over = [0.0] * len(BOUNDS)
        self._square = 0.0

    def pass_time(self, busy: float, idle: float) -> None:
        """Count time; only what was idle is in the histogram by that."""
        self.busy_seconds += busy
        self.idle_seconds += idle
        self._level += idle

    def no_delay(self, seconds: float) -> None:
        """Put busy time into the histogram that is not known to have delayed anybody."""
        self._level += seconds

    def stretch(self, seconds: float) -> None:
        """Put a stretch of known length into the histogram; from the threshold on it is a stall."""
        self._level += _spread(self._over, seconds)
        self._square += seconds * seconds
        self.delay_max_seconds = max(self.delay_max_seconds, seconds)
        if seconds >= self.threshold_seconds:
            self.stalls += 1
            self.stall_seconds += seconds

    def delay(self, in_progress: float) -> Histogram:
        """The histogram, with a stretch in progress that is sure to be booked."""
        over = list(self._over)
        level = self._level + _spread(over, in_progress)
        square = self._square + in_progress * in_progress
        wait = square / 2 / layout.DELAY_INTERVAL_SECONDS
        return Histogram(bounds=BOUNDS, buckets=cumulative((level, *over)), sum=wait)


def _spread(over: list[float], seconds: float) -> float:
    """Add a stretch to the buckets beyond the first; the answer is what belongs into the first."""
    for index, bound in enumerate(BOUNDS):
        if seconds <= bound:
            break
        over[index] += min(seconds, UPPER_BOUNDS[index]) - bound
    return min(seconds, BOUNDS[0])
