"""Pools of workers with incidents, and what was recycled of them, for whatever decides about remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from support.storing import NOON
from support.views import WATCHED
from vitalsd.model import Incident, ProcessVitals, Supervisor, TargetSnapshot, WorkerKey, WorkerSample
from vitalsd.remedy.model import Recycling
from vitalsd.remedy.pool import Pool

__all__ = ["ARBITER", "BOOT", "STARTED", "incident", "key", "pool", "recycling", "target", "worker"]

BOOT = "5a1e"
STARTED = NOON - 7200.0
"""All workers, unless something else is said."""
ARBITER = Supervisor("gunicorn", WorkerKey(99, 900), "gunicorn -w 4 shop:app")


def key(slot: int | str) -> WorkerKey:
    """The process that sits in a slot from the beginning."""
    return WorkerKey(100 + int(slot), 1000 + int(slot))


def worker(slot: int | str, *, started: float = STARTED, state: str = "S", **more: Any) -> WorkerSample:
    """One that is well."""
    process = ProcessVitals(state=state, started_at=started, cpu_seconds=1.0, threads=4)
    sample = replace(
        WATCHED, slot=str(slot), key=key(slot), at=NOON, process=process, probe=None, memory=None, pulse=None
    )
    return replace(sample, **more)


def target(workers: Sequence[WorkerSample], supervisor: Supervisor | None = ARBITER) -> TargetSnapshot:
    """A pool of these."""
    return TargetSnapshot("shop", True, tuple(workers), supervisor=supervisor)


def incident(slot: int | str, kind: str = "leak", *, at: float = NOON - 600.0, **more: Any) -> Incident:
    """One that is open, and was found a moment ago."""
    opened = Incident(
        id=f"{kind}-{slot}",
        kind=kind,
        target="shop",
        worker=str(slot),
        severity="warning",
        state="open",
        opened_at=at,
        resolved_at=None,
        cause=None,
        culprit=None,
        summary="So.",
        evidence={},
        updated_at=NOON - 1.0,
    )
    return replace(opened, **more)


def recycling(slot: int | str, *, at: float = NOON - 60.0, outcome: Any = None, **more: Any) -> Recycling:
    """One whose replacement is there, 2 s after it was asked; with an outcome, judged 10 s after that."""
    made = Recycling(
        id=f"{slot}-{at}",
        target="shop",
        worker=str(slot),
        kind="leak",
        incident=f"leak-{slot}",
        key=WorkerKey(50, int(at)),
        boot=BOOT,
        signal="SIGTERM",
        asked_at=at,
        ended_at=at + 1.0,
        replaced_at=at + 2.0,
        replaced_by=key(slot).pid,
        outcome=outcome,
        judged_at=at + 12.0 if outcome else None,
    )
    return replace(made, **more)


def pool(
    workers: Sequence[WorkerSample] | int = 4,
    incidents: Sequence[Incident] = (),
    recyclings: Sequence[Recycling] = (),
    **more: Any,
) -> Pool:
    """One in which everything is captured and nobody looks."""
    samples = [worker(slot) for slot in range(workers)] if isinstance(workers, int) else workers
    keys: dict[str, Any] = {
        "snapshot": target(samples),
        "captured": lambda _incident: True,
        "is_watched": lambda _worker: False,
        "open_seconds": lambda _incident: 1e9,
        "max_delay_seconds": 0.5,
        "settle_seconds": 60.0,
    }
    return Pool(incidents=incidents, recyclings=recyclings, **(keys | more))
