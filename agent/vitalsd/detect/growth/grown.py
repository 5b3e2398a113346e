"""Growth of memory that is proven: what of, since when, how fast, and how long it can go on. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalsd.detect.growth.shape import Rise

__all__ = ["Grown", "Proof"]

Proof = Literal["memory", "heap", "blocks"]


class Grown(msgspec.Struct, frozen=True):
    """Growth of memory that has been proven, and what of."""

    kind: Literal["leak", "fragmentation"]
    by: Proof
    """Which series has proven it."""
    rise: Rise
    found_at: float
    began_at: float
    per_second: float
    level: float
    """The floor of the process's memory now."""
    peak: float | None
    """The most that it had of late."""
    reach: float | None
    """What its peaks come to by now: what the limit is compared with."""
    limit: float | None
    heap_share: float | None
    """Of the growth of the process, what the live heap has grown by; None where it is not known."""
    left: float | None = None
    """To all that share the limit; None where nobody is known to."""
    left_per_second: float = 0.0
    """What it gets less by."""

    @property
    def seconds_left(self) -> float | None:
        """Until its peaks meet the limit, or until all that share it do together."""
        known = [self._seconds_by_itself, self.seconds_together]
        return min((seconds for seconds in known if seconds is not None), default=None)

    @property
    def _seconds_by_itself(self) -> float | None:
        if self.limit is None or self.reach is None or self.per_second <= 0:
            return None
        return max(0.0, (self.limit - self.reach) / self.per_second)

    @property
    def seconds_together(self) -> float | None:
        """Until nothing is left to all that share the limit."""
        pace = max(self.per_second, self.left_per_second)
        return self.left / pace if self.left is not None and self.limit is not None and pace > 0 else None
