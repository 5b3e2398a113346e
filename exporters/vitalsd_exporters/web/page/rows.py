"""
What the page's tables show: one row per worker and per target, with what is seen of it and nothing else.

Numbers are rounded to what a person sees, so that a row differs when what is shown does. Pure; costs 25 us per
worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from vitalsd.model import OBSERVED_LOOP, STOPPED, is_for_computing, limit_share, own_bytes
from vitalsd.times import rfc3339
from vitalsd_exporters.web.edge import as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vitalsd.model import Incident, LimitKind, MemoryTrend, RecentLoop, Severity, TargetSnapshot, WorkerSample

__all__ = ["BRIEF", "WorkerRow", "brief", "open_counts", "seen_bytes", "target_row", "worker_row"]

WorkerState = Literal["up", "stalled", "down", "vacant", "stopped"]
KIB = 1024
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
NONE_OPEN: dict[Severity, int] = {"critical": 0, "warning": 0, "info": 0}


class WorkerRow(msgspec.Struct, frozen=True, gc=False):
    """One worker at a glance. None is what is not known."""

    target: str
    worker: str
    pid: int | None
    state: WorkerState
    since_at: str | None
    """When it began, ended, or became as it is."""
    stalled_seconds: float | None
    """Of the stall in progress that has lasted longest."""
    lag_source: str
    runtime: str
    version: str | None
    loops: int
    """That are watched."""
    delay_p99_seconds: tuple[float, float | None] | None
    """Of the loop that is late most, in the last minute: the bounds between which it lies."""
    busy_share: float | None
    """Of the busiest loop, likewise."""
    stalls: int | None
    """That have ended in the last minute."""
    resident_bytes: int | None
    memory_bytes: int | None
    """Its own: anonymous and swapped out."""
    limit_bytes: int | None
    limit_kind: LimitKind | None
    limit_share: float | None
    """How much of the limit is used up; of a group's, by all who share it."""
    growth_bytes_per_second: float | None
    exhausted_at: str | None
    restarts: int
    cpu_share: float | None
    """Of one processor, in the last minute."""
    open: dict[Severity, int]
    """Severity -> incidents that are open."""


def worker_row(
    worker: WorkerSample,
    target: TargetSnapshot,
    *,
    recent: Mapping[str, RecentLoop],
    trend: MemoryTrend | None,
    cpu_share: float | None,
    still_open: Mapping[Severity, int] = NONE_OPEN,
) -> WorkerRow:
    """The row of a worker as it was sampled; the stall that it is in now is for `book`."""
    runtime, version = _runtime(worker)
    loops = _watched(recent, runtime)
    process, memory = worker.process, worker.memory
    state = _state(worker)
    limit = memory.limit_bytes if memory is not None else None
    growth = trend.bytes_per_second if trend is not None else None
    return WorkerRow(
        target=worker.target,
        worker=worker.slot,
        pid=worker.key.own_number if worker.key is not None and worker.up else None,
        state=state,
        since_at=_since(worker, target, state),
        stalled_seconds=None,
        lag_source=worker.lag_source,
        runtime=runtime,
        version=version,
        loops=len(loops),
        delay_p99_seconds=max((loop.delay_p99_between_seconds for loop in loops), key=_late_most, default=None),
        busy_share=_share(
            max((each for each in (loop.busy_share for loop in loops) if each is not None), default=None)
        ),
        stalls=sum(loop.stalls for loop in loops) if loops else None,
        resident_bytes=seen_bytes(process.resident_bytes if process is not None else None),
        memory_bytes=seen_bytes(own_bytes(worker)),
        limit_bytes=limit,
        limit_kind=memory.limit_kind if memory is not None else None,
        limit_share=_share(limit_share(worker)),
        growth_bytes_per_second=float(f"{growth:.2g}") if growth is not None else None,
        exhausted_at=_exhausted(trend, worker.at),
        restarts=sum(target.restarts.get(worker.slot, {}).values()),
        cpu_share=_share(cpu_share),
        open=dict(still_open),
    )


def target_row(target: TargetSnapshot, remedy_state: str) -> dict[str, Any]:
    """What a group of workers is called by; targets without a worker are shown by it alone."""
    return {
        "name": target.name,
        "up": target.up,
        "workers": len(target.workers),
        "supervisor": target.supervisor.kind if target.supervisor is not None else None,
        "remedy_state": remedy_state,
    }


def open_counts(incidents: Iterable[Incident]) -> dict[tuple[str, str], dict[Severity, int]]:
    """Target, worker -> severity -> how many are open; what is a target's own has no worker."""
    counts: dict[tuple[str, str], dict[Severity, int]] = {}
    for each in incidents:
        if each.state == "open":
            of_worker = counts.setdefault((each.target, each.worker), dict(NONE_OPEN))
            of_worker[each.severity] += 1
    return counts


BRIEF = (
    *("id", "kind", "target", "worker", "severity", "state", "opened_at", "resolved_at", "updated_at"),
    *("cause", "culprit", "summary", "count", "captures", "fault"),
)


def brief(incident: Incident) -> dict[str, Any]:
    """An incident as a list shows it: without its evidence, which may be long."""
    return {
        name: rfc3339(value) if name.endswith("_at") and value is not None else as_json(value)
        for name, value in ((name, getattr(incident, name)) for name in BRIEF)
    }


def seen_bytes(count: int | None) -> int | None:
    """Rounded to the three digits that are shown of it, in the unit in which it is."""
    if count is None:
        return None
    unit = 1
    while count >= unit * KIB:
        unit *= KIB
    value = count / unit
    return round(round(value, 2 if value < 10 else 1 if value < 100 else 0) * unit)


def _state(worker: WorkerSample) -> WorkerState:
    if not worker.up:
        return "vacant" if worker.vacant else "down"
    seen = worker.pulse or worker.process
    return "stopped" if seen is not None and seen.state in STOPPED else "up"


def _since(worker: WorkerSample, target: TargetSnapshot, state: WorkerState) -> str | None:
    at: float | None = None
    if state in ("down", "vacant"):
        at = max((exit_.ended_at for exit_ in target.exits if exit_.slot == worker.slot), default=None)
    elif state == "stopped":
        at = worker.pulse.state_since if worker.pulse is not None else None
    elif worker.process is not None:
        at = worker.process.started_at
    return rfc3339(float(round(at))) if at is not None else None


def _runtime(worker: WorkerSample) -> tuple[str, str | None]:
    if worker.probe is not None:
        return worker.probe.runtime, worker.probe.version
    return (worker.observed.runtime if worker.observed is not None else "unknown"), None


def _watched(recent: Mapping[str, RecentLoop], runtime: str) -> list[RecentLoop]:
    """Loops that serve somebody: a thread of Node that computes is busy by trade."""
    return [loop for name, loop in recent.items() if name == OBSERVED_LOOP or not is_for_computing(runtime, name)]


def _late_most(between: tuple[float, float | None] | None) -> tuple[float, float]:
    if between is None:
        return -1.0, -1.0
    low, high = between
    return low, high if high is not None else float("inf")


def _share(value: float | None) -> float | None:
    return round(value, 2) if value is not None else None


def _exhausted(trend: MemoryTrend | None, now: float) -> str | None:
    """To the minute within the hour, to ten of them within the day, then to the hour."""
    at = trend.exhausted_at if trend is not None else None
    if at is None:
        return None
    left = at - now
    step = MINUTE if left < HOUR else 10 * MINUTE if left < DAY else HOUR
    return rfc3339(round(at / step) * step)
