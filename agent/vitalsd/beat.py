"""One grid for all that the agent does by the clock: woken once for several things, it costs less. Pure."""

from __future__ import annotations

import math

__all__ = ["next_beat"]


def next_beat(now: float, seconds: float) -> float:
    """The next multiple of so many seconds on the clock that `now` is of."""
    return (math.floor(now / seconds) + 1) * seconds
