"""
Which stalls are our own doing: those in which a capture held the worker, as was known before. Pure.

A capture that is known to hold does so from a moment after it has begun, once and in one piece, so it is the
stall that begins then. One that goes on to watch is believed for no longer than it may hold: what stalls for
longer while a profile is taken is what the profile is for.
"""

from __future__ import annotations

from collections.abc import Sequence

from vitalsd.model import HELD_TIMES, Hold

__all__ = ["HELD", "asked_for", "held_by", "is_as_told", "overlaps"]

HELD = "held by a capture"
"""The fault of such an incident."""
EARLY_SECONDS = 0.2
"""The two clocks that tell when it was begun, and when the stall."""
BEGIN_SECONDS = 2.0
"""A thread is started in the service, and the service has to turn once, on a host that may be busy."""
LEAST_SECONDS = 0.5
"""What is told of a hold is about; below, no more is asked of it."""


def held_by(holds: Sequence[Hold], started_at: float, seconds: float) -> Hold | None:
    """The capture that has held the worker in a stall; None where it was the service's own."""
    for hold in holds:
        begun = started_at - hold.began_at
        if -EARLY_SECONDS <= begun <= BEGIN_SECONDS and (not hold.watches or seconds <= _most(hold)):
            return hold
    return None


def is_as_told(hold: Hold, seconds: float) -> bool:
    """Whether it has not held for much longer than was told."""
    return seconds <= _most(hold)


def overlaps(hold: Hold, since: float, until: float) -> bool:
    """Whether any of this time is that of a hold, or of working off what has queued up meanwhile."""
    most = hold.pause_seconds if hold.pause_seconds is not None else _most(hold)
    return hold.began_at - EARLY_SECONDS <= until and since <= hold.began_at + 2 * (BEGIN_SECONDS + most)


def asked_for(hold: Hold) -> str:
    """`heap, asked for by a person`."""
    by = {"person": "a person", "incident": f"incident {hold.who}", "alert": "an alert"}[hold.asked_by]
    return f"{hold.kind}, asked for by {by}"


def _most(hold: Hold) -> float:
    return max(HELD_TIMES * hold.told_seconds, LEAST_SECONDS)
