"""
Whether a capture has harmed the service: what its engine measured, and what became of its loop meanwhile.

The observer is asked every 50 ms how late the worker's loops are, which costs microseconds. A loop that stalled in
the minute before may stall again for reasons of its own, so only one that did not is held against the capture.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["HarmWatch"]

LOOK_SECONDS = 0.05
MOST_PAUSE_SECONDS = 0.25
"""Ten times what any engine should need: by then a load balancer counts it."""
MOST_LATE_SECONDS = 0.5
"""A stall of that length is a critical incident by default."""


class HarmWatch:
    """The loops of one worker while a capture is taken."""

    def __init__(self, late_seconds: Callable[[], float | None], stalls_before: int) -> None:
        self._late_seconds = late_seconds
        self._innocent = stalls_before > 0 or late_seconds() is not None
        self._longest = 0.0

    async def look(self) -> None:
        """Look until cancelled."""
        while True:
            self._longest = max(self._longest, self._late_seconds() or 0.0)
            await asyncio.sleep(LOOK_SECONDS)

    def verdict(self, pause_seconds: float | None) -> str | None:
        """What it did that it must not do, in a sentence; None when there is nothing to say."""
        if pause_seconds is not None and pause_seconds > MOST_PAUSE_SECONDS:
            return f"it held the service for {pause_seconds:.2f} s, and {MOST_PAUSE_SECONDS:g} s is the most"
        if not self._innocent and self._longest > MOST_LATE_SECONDS:
            return (
                f"its loop was late by {self._longest:.2f} s meanwhile, and had not stalled in the minute before"
            )
        return None
