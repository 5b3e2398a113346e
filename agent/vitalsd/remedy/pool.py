"""What is known of one target when it is decided about: workers, incidents, recyclings, and what is captured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from vitalsd.model import Incident, TargetSnapshot, WorkerSample
from vitalsd.remedy.model import Recycling

__all__ = ["Pool"]


class Pool(msgspec.Struct, frozen=True):
    """What is known of one target."""

    snapshot: TargetSnapshot
    incidents: Sequence[Incident]
    """Those of the target that are open."""
    recyclings: Sequence[Recycling]
    """Those of the target, first asked for first."""
    captured: Callable[[Incident], bool]
    """Whether everything that an incident is worth has been captured, refused or failed."""
    is_watched: Callable[[WorkerSample], bool]
    """Whether somebody has asked for a capture of this worker, and it is not over."""
    open_seconds: Callable[[Incident], float]
    """How long an incident has been seen to be open, by a clock that nobody sets."""
    max_delay_seconds: float
    """`health.max_delay`"""
    settle_seconds: float
    """`workers.settle`"""
