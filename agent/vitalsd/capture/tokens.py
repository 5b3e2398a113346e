"""A budget that fills up with time: the token bucket."""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """At most `burst` at once, and one more each `refill_seconds`."""

    def __init__(self, burst: int, refill_seconds: float, now: float) -> None:
        self._burst = float(burst)
        self._refill_seconds = refill_seconds
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take one, if there is one; a clock that steps back fills nothing."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) / self._refill_seconds)
        self._at = max(self._at, now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
