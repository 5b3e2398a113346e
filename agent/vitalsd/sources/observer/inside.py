"""
What the live words of a probe make of one loop: a stretch is as long as its word stays. Pure.

The probe keeps the books of its loops, and the length of every stall; what is added here is evidence, while the
stretch lasts. So one that is shorter than a look is not even noted.
"""

from __future__ import annotations

import math

from vitalsd.sources.observer.stretch import Stretch

__all__ = ["Inside", "late_since"]

NOTED_SECONDS = 0.03
BURST_SECONDS = 2.0
TOLERANCE_SECONDS = 0.02
"""What is due and comes later than this is late; less may be the timer's own grain."""


def late_since(since: float, due: float, until: float) -> float | None:
    """
    The word that has told since when a loop is late; None while it is not.

    `layout` has it: since `since` while that is positive, and since `due` once that has passed. A time from the
    future is damage.
    """
    if since > 0:
        return since if math.isfinite(since) and since <= until else None
    return due if since < 0 and 0 < due < until - TOLERANCE_SECONDS else None


class Inside:
    """One loop with a probe."""

    def __init__(self, threshold_seconds: float) -> None:
        self.current: Stretch | None = None
        self._threshold = threshold_seconds
        self._seen_at = 0.0
        self._burst_at = 0.0
        self._abandoned: float | None = None

    def bursting(self, now: float) -> bool:
        """Whether looks should be frequent."""
        return self.current is not None and now < self._burst_at + BURST_SECONDS

    def turn(self, now: float, late: float | None, until: float) -> Stretch | None:
        """
        The loop is late since `late`, as far as is known at `until`.

        The answer is a stretch that is over, if it was beyond the threshold. The current one wants a look.
        """
        ended = None
        if self.current is not None and self.current.since != late:
            ended = self._close((self._seen_at + (now if late is None else min(now, late))) / 2)
        noted = late is not None and late != self._abandoned and until - late >= NOTED_SECONDS
        if self.current is None and late is not None and noted:
            self.current = Stretch(late)
            self._burst_at = now
        self._seen_at = now
        return ended

    def lost(self, died: bool) -> Stretch | None:
        """The process has died in the stretch; or only the thread has, and the word is nobody's any more."""
        stretch = self.current
        if stretch is None:
            return None
        self._abandoned = stretch.since
        if died:
            return self._close(stretch.last_at)
        self.current = None
        return None

    def _close(self, at: float) -> Stretch | None:
        stretch, self.current = self.current, None
        if stretch is None:
            return None
        stretch.ended_at = max(at, stretch.last_at)
        return stretch if stretch.seconds >= self._threshold else None
