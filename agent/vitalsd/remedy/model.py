"""
The words of remedy: one recycling from being asked for to being judged, and how a target stands.

Structs with units in their names, no behaviour but what a recycling says of itself. Times are unix.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from vitalsd.model import WorkerKey

__all__ = [
    "KINDS",
    "OUTCOMES",
    "Judged",
    "Mode",
    "Outcome",
    "Recycling",
    "RemedyCounts",
    "RemedyState",
    "StateName",
]

Mode = Literal["off", "dry_run", "on"]
KINDS = ("leak", "worker_hung")
"""Kinds of incidents that recycling may be a remedy for."""
Judged = Literal["helped", "did_not_help", "not_replaced", "unknown"]
"""
What came of a recycling: its replacement has been well for `remedy.helped_after`; it had the same incident within
that time; nobody has taken its place; or it cannot be said, for worker, slot or target went away by themselves.
"""
Outcome = Literal["helped", "did_not_help", "not_replaced", "unknown", "refused", "would_have"]
"""And what was not done: `refused` for a reason, `would_have` in a dry run."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
StateName = Literal["off", "idle", "waiting", "recycling", "watching", "stopped"]
"""`waiting`: for its turn, or refused; `watching`: whether it has helped; `stopped`: the breaker is open."""


class Recycling(msgspec.Struct, frozen=True):
    """One worker that was asked to end."""

    id: str
    target: str
    worker: str
    """Its slot, which the replacement takes."""
    kind: str
    """Of the incident that it is a remedy for."""
    incident: str
    key: WorkerKey
    boot: str
    """In which the key's start time is."""
    signal: str
    asked_at: float
    """When it was written down, before the signal went out."""
    supervisor: WorkerKey | None = None
    """Who was to start another; None in what was written down before this was."""
    sent_monotonic: float | None = None
    """CLOCK_MONOTONIC of that boot at which the signal went out: a wall clock that is set shortens no grace."""
    sent_at: float | None = None
    """When the signal went out; None where that is not known to have happened: such a worker is never killed."""
    killed_at: float | None = None
    ended_at: float | None = None
    replaced_at: float | None = None
    replaced_by: int | None = None
    """A pid."""
    outcome: Judged | None = None
    judged_at: float | None = None

    @property
    def in_progress(self) -> bool:
        """Whether its worker is about to end, or its replacement to come."""
        return self.outcome is None and self.replaced_at is None

    @property
    def over_at(self) -> float:
        """When the service was left alone again, as far as it has come."""
        return self.replaced_at or self.ended_at or self.killed_at or self.asked_at


class RemedyState(msgspec.Struct, frozen=True):
    """How the remedy of one target stands."""

    mode: Mode
    state: StateName
    reason: str


class RemedyCounts(msgspec.Struct, frozen=True):
    """For the metrics, since this agent began."""

    totals: Mapping[tuple[str, Outcome], int] = {}
    """Target, outcome -> how often."""
    stopped: Mapping[str, bool] = {}
    """Target -> whether its breaker is open; of those whose remedy is not off."""
