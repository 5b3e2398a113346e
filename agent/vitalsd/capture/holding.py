"""
The captures that are known to hold their worker, as those who judge the worker want to know of them.

Made of the ledger's captures once for each change of it, and looked up by worker: a round asks for nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vitalsd.capture.model import ACTIVE, Capture
from vitalsd.model import Hold, WorkerSample

__all__ = ["Holding", "holds_among"]

KEPT_SECONDS = 900.0
"""By then whatever has waited for the end of it was judged."""
Place = tuple[str, str, int]
"""Target, slot and pid."""


class Holding:
    """Holds of late, by worker."""

    def __init__(self) -> None:
        self._captures: Sequence[Capture] = ()
        self._holds: dict[Place, tuple[Hold, ...]] = {}

    def of(self, worker: WorkerSample, captures: Sequence[Capture]) -> tuple[Hold, ...]:
        """Those of one worker; `captures` is the same object until one changes."""
        if captures is not self._captures:
            self._captures, self._holds = captures, holds_among(captures)
        if not self._holds or worker.key is None:
            return ()
        held = self._holds.get((worker.target, worker.slot, worker.key.pid), ())
        return tuple(hold for hold in held if abs(worker.at - hold.began_at) <= KEPT_SECONDS)


def holds_among(captures: Iterable[Capture]) -> dict[Place, tuple[Hold, ...]]:
    """Of all workers that were or are held by a capture that was known to do so."""
    found: dict[Place, tuple[Hold, ...]] = {}
    for capture in captures:
        if capture.holds_seconds is None or capture.started_at is None:
            continue
        place = capture.target, capture.worker, capture.pid
        hold = Hold(
            capture=capture.id,
            kind=capture.kind,
            asked_by=capture.asked_by,
            who=capture.who,
            began_at=capture.started_at,
            told_seconds=capture.holds_seconds,
            pause_seconds=capture.pause_seconds,
            runs=capture.state in ACTIVE,
            watches=capture.seconds > 0,
        )
        found[place] = (*found.get(place, ()), hold)
    return found
