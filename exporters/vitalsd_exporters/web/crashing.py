"""
Which workers are caught in a crash loop, and whether that takes their target out of traffic.

While the incident is open, and for `health.recovered_after` more, who sits in one of its places is up for a moment
at a time: it may answer, and drops what it was asked. A target is unavailable when no more than half of its places
are left. Pure; costs a look at the incidents that are open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vitalsd.model import Incident, TargetSnapshot

__all__ = ["CrashLoop", "crash_loop"]

STEADY_SHARE = 0.5
"""Of a target's places: where more than that are left, it serves."""
MOST_CAUSES = 3


class CrashLoop(msgspec.Struct, frozen=True):
    """A crash loop of a target that is open, or was until a moment ago."""

    text: str
    """Half a sentence: what goes on, and the incident."""
    slots: frozenset[str]
    """The places that are caught in it."""
    left_seconds: float | None
    """Until they count as well again, if nobody ends meanwhile; None where that is not known."""

    def takes_most(self, target: TargetSnapshot) -> bool:
        """Whether too few are left to serve."""
        places = [worker for worker in target.workers if not worker.vacant]
        steady = [worker for worker in places if worker.up and worker.slot not in self.slots]
        return len(steady) <= STEADY_SHARE * len(places)


def crash_loop(
    incidents: Iterable[Incident], target: TargetSnapshot, recovered_after_seconds: float, now: float
) -> CrashLoop | None:
    """The one that this target is in at unix time `now`."""
    for incident in incidents:
        if (incident.kind, incident.target) != ("crash_loop", target.name):
            continue
        slots = incident.evidence.get("slots")
        # One of its supervisor alone takes every place along.
        caught = frozenset(slots if isinstance(slots, list) and slots else [each.slot for each in target.workers])
        if incident.state == "open":
            text = f"its workers keep ending: {_ends(incident)}, see incident `{incident.id}`"
            return CrashLoop(text, caught, _left(incident, recovered_after_seconds, now))
        left = (incident.resolved_at or 0.0) + recovered_after_seconds - now
        if 0 < left <= recovered_after_seconds:
            ago = recovered_after_seconds - left
            text = (
                f"its workers kept ending until {ago:.1f} s ago, see incident `{incident.id}`; "
                f"`health.recovered_after` asks for {recovered_after_seconds:g} s"
            )
            return CrashLoop(text, caught, left)
    return None


def _ends(incident: Incident) -> str:
    """`7 in 30 s (5 by exit 3, 2 by SIGSEGV)`, at the latest look that has found it."""
    told = incident.evidence
    by, within = told.get("by"), told.get("within_seconds")
    causes = list(by.items())[:MOST_CAUSES] if isinstance(by, dict) else []
    listed = ", ".join(f"{count} by {what}" for what, count in causes)
    span = f" in {within:g} s" if isinstance(within, int | float) else ""
    return f"{told.get('ends')}{span}" + (f" ({listed})" if listed else "")


def _left(incident: Incident, recovered_after_seconds: float, now: float) -> float | None:
    """It is over when they have stayed up for as long as it is told by."""
    within, exits = incident.evidence.get("within_seconds"), incident.evidence.get("exits")
    last = exits[-1].get("ended_at") if isinstance(exits, list) and exits and isinstance(exits[-1], dict) else None
    if not isinstance(within, int | float) or not isinstance(last, int | float):
        return None
    left = last + within + recovered_after_seconds - now
    return left if left > 0 else None
