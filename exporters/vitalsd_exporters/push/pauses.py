"""
How long to wait before one that was not to be had is tried again: longer and longer, and never quite the same.

A hundred agents whose collector is away do not come back at once. Pure; one number.
"""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["FIRST_RETRY_SECONDS", "Pauses"]

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0


class Pauses:
    """Those of one way out."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._seconds = FIRST_RETRY_SECONDS

    def after_failure(self, interval_seconds: float) -> float:
        """How long to wait now, where all is told anyway once in an interval."""
        pause = self._seconds * (0.5 + self._draw() / 2)
        longest = min(LONGEST_RETRY_SECONDS, interval_seconds)
        self._seconds = max(FIRST_RETRY_SECONDS, min(2 * self._seconds, longest))
        return pause

    def after_success(self) -> None:
        """The next one is short again."""
        self._seconds = FIRST_RETRY_SECONDS
