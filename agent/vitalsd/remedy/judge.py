"""
What has become of a recycling, from round to round: who has taken the place, and whether it has helped.

Pure and told the time. It has helped when the replacement has no incident of the same kind for
`remedy.helped_after`: that keeps a target from being churned, and is no promise that a leak will not come back in
its own time.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from vitalsd.model import Incident, TargetSnapshot, WorkerSample
from vitalsd.remedy.model import Judged, Recycling
from vitalsd.settings.model import Remedy
from vitalsd.settings.units import format_duration

__all__ = ["followed", "judged", "words_of"]


def followed(
    recycling: Recycling,
    snapshot: TargetSnapshot | None,
    incidents: Iterable[Incident],
    settings: Remedy,
    now: float,
    *,
    overdue: bool,
) -> Recycling:
    """
    The recycling as this round shows it; the same object where nothing has changed.

    `overdue`: a replacement has been waited for long enough, which the clock on the wall does not tell.
    """
    if recycling.outcome is not None or recycling.ended_at is None:
        return recycling
    workers = snapshot.workers if snapshot is not None else ()
    sitting = next((worker for worker in workers if worker.slot == recycling.worker), None)
    if recycling.replaced_at is None:
        return _awaited(recycling, sitting, now, overdue=overdue)
    if any(_came_back(recycling, incident) for incident in incidents):
        return judged(recycling, "did_not_help", now)
    if abs(now - recycling.replaced_at) < settings.helped_after:
        return recycling
    return judged(recycling, "helped" if sitting is not None and sitting.up else "unknown", now)


def _awaited(recycling: Recycling, sitting: WorkerSample | None, now: float, *, overdue: bool) -> Recycling:
    """The recycling, with its replacement once that is there."""
    if sitting is not None and sitting.up and sitting.key is not None and sitting.key != recycling.key:
        return replace(recycling, replaced_at=now, replaced_by=sitting.key.pid)
    if not overdue:
        return recycling
    # Without the slot, the target was given up or started anew: that says nothing about its supervisor.
    return judged(recycling, "not_replaced" if sitting is not None else "unknown", now)


def _came_back(recycling: Recycling, incident: Incident) -> bool:
    """Whether it was found of the replacement."""
    same = (incident.target, incident.worker, incident.kind) == (
        recycling.target,
        recycling.worker,
        recycling.kind,
    )
    return same and recycling.replaced_at is not None and incident.updated_at > recycling.replaced_at


def judged(recycling: Recycling, outcome: Judged, now: float) -> Recycling:
    """The recycling with what came of it."""
    return replace(recycling, outcome=outcome, judged_at=now)


def words_of(before: Recycling, after: Recycling, settings: Remedy) -> str | None:
    """What an incident is told of that change; None where there is none."""
    if after.outcome != before.outcome:
        kind, who = after.kind, f"worker {after.worker}"
        well, rest = format_duration(settings.helped_after), format_duration(settings.breaker_resets_after)
        words: dict[Judged | None, str] = {
            "helped": f"it has helped: no {kind} of {who} for {well}",
            "did_not_help": f"it did not help: {who} has a {kind} again",
            "not_replaced": f"nobody has taken the place of {who}: nothing more is recycled here for {rest}; "
            "see what its supervisor is at",
            "unknown": f"whether it has helped cannot be said: {who} is gone",
        }
        return words[after.outcome]
    if after.replaced_at is not None and before.replaced_at is None:
        seconds = abs(after.replaced_at - (after.ended_at or after.replaced_at))
        return f"worker {after.worker} was replaced by process {after.replaced_by}, seen {seconds:.1f} s later"
    return None
