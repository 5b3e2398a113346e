"""How often to look, by what looking costs: a bounded share of a core. Pure."""

from __future__ import annotations

import math

__all__ = ["Budget"]

WINDOW_SECONDS = 2.0
MOST_SECONDS = 1.0
FASTEST_CHANGE = 4.0
RELAXED = 0.8
"""Looks come more often again when less than this part of the budget is spent."""


class Budget:
    """The pace of looks: first those at a late loop become rarer, which costs evidence and no stall, then all."""

    def __init__(self, share: float, interval_seconds: float, burst_seconds: float) -> None:
        self._share = share
        self._base = interval_seconds
        self._burst = burst_seconds
        self._factor = 1.0
        self._sparest = interval_seconds / burst_seconds
        self._window: tuple[float, float] | None = None
        self.interval_seconds = interval_seconds
        """Between two looks at a loop that is not late."""
        self.burst_seconds = burst_seconds
        """Between two looks at one that is."""
        self.due_at = -math.inf
        """When it is to be told again what was spent."""

    def spent(self, now: float, cpu_seconds: float) -> None:
        """Take the CPU time that the observer has used until now."""
        if self._window is None:
            self._window = now, cpu_seconds
        began, before = self._window
        self.due_at = began + WINDOW_SECONDS
        if now < self.due_at:
            return
        self._window, self.due_at = (now, cpu_seconds), now + WINDOW_SECONDS
        used = (cpu_seconds - before) / (now - began) / self._share
        if used > 1 or used < RELAXED:
            wanted = used / (1 if used > 1 else RELAXED)
            change = min(FASTEST_CHANGE, max(1 / FASTEST_CHANGE, wanted))
            self._factor = min(MOST_SECONDS / self._burst, max(1.0, self._factor * change))
            spaced = min(MOST_SECONDS, self._base * self._factor / self._sparest)
            self.interval_seconds = max(self._base, spaced)
            self.burst_seconds = min(self._base, self._burst * self._factor)
