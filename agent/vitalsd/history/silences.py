"""
From which silences a target's workers have come back by themselves, within the last day. Pure, and bounded.

A synchronous worker shows no life while it serves a request: how long that takes in this service is learned here.
Times are those of CLOCK_MONOTONIC: what was learned is not to be forgotten when somebody sets the clock.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Silences"]

KEPT_SECONDS = 86_400.0
KEPT = 64
"""Of each target. The longest is what counts: shorter ones before it are not kept."""


class Silences:
    """Those of all targets."""

    def __init__(self) -> None:
        self._of: dict[str, deque[tuple[float, float]]] = {}

    def add(self, target: str, at: float, seconds: float) -> None:
        """A worker has come back at `at`, after so long."""
        kept = self._of.setdefault(target, deque(maxlen=KEPT))
        while kept and kept[-1][1] <= seconds:
            kept.pop()
        kept.append((at, seconds))

    def longest(self, target: str, now: float) -> float:
        """The longest that one has come back from; 0 where none is known."""
        kept = self._of.get(target)
        while kept and now - kept[0][0] > KEPT_SECONDS:
            kept.popleft()
        return kept[0][1] if kept else 0.0

    def keep(self, targets: set[str]) -> None:
        """Forget the others."""
        self._of = {name: kept for name, kept in self._of.items() if name in targets}
