"""
What a capture has done to the service: for how long its engine has held it, and how late its loop was meanwhile.

Only what the engine itself has measured is held against it. A loop that is late while a capture runs may be late
for any reason of the service's own, and a tool that takes the blame for those would be switched off when it is
needed most; so that is told, and no more. The observer is asked every 50 ms, which costs microseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vitalsd.model import HELD_TIMES

__all__ = ["HarmWatch", "harm_of"]

LOOK_SECONDS = 0.05
MOST_PAUSE_SECONDS = 0.25
"""Ten times what any engine should need: by then a load balancer counts it."""
TOLD_SECONDS = 0.1


class HarmWatch:
    """The loops of one worker while a capture is taken."""

    def __init__(self, late_seconds: Callable[[], float | None]) -> None:
        self._late_seconds = late_seconds
        self._longest = 0.0

    async def look(self) -> None:
        """Look until cancelled."""
        while True:
            self._longest = max(self._longest, self._late_seconds() or 0.0)
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def loop_late_seconds(self) -> float | None:
        """How late a loop was meanwhile, at the most, if that is worth a word."""
        return round(self._longest, 3) if self._longest > TOLD_SECONDS else None


def harm_of(pause_seconds: float | None, told_seconds: float | None) -> str | None:
    """
    What it did that it must not do, in a sentence; None when there is nothing to say.

    `told_seconds` is how long it was known to hold: who has asked for it was told, and such a pause is no harm.
    """
    most = max(MOST_PAUSE_SECONDS, HELD_TIMES * (told_seconds or 0.0))
    if pause_seconds is None or pause_seconds <= most:
        return None
    held = f"it held the service for {pause_seconds:.2f} s"
    if told_seconds is not None and most > MOST_PAUSE_SECONDS:
        return f"{held}, and some {told_seconds:.1f} s were told"
    return f"{held}, and {MOST_PAUSE_SECONDS:g} s is the most"
