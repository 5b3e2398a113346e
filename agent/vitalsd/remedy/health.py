"""
How many workers of a target serve, as far as can be told from outside: what must remain while one is recycled.

Pure. Who is in doubt does not count: a worker that has just started may still be loading, one that is stopped or
hangs does nothing, and one whose loop is late now answers nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from vitalsd.model import STOPPED, Incident, WorkerSample, late_seconds
from vitalsd.remedy.pool import Pool

__all__ = ["healthy_without", "is_stopped"]

NO_MORE = ("Z", "X", "x")


def healthy_without(worker: WorkerSample, pool: Pool, now: float) -> int:
    """How many workers but this one are healthy."""
    ending = {each.key for each in pool.recyclings if each.in_progress}
    return sum(
        other.slot != worker.slot and other.key not in ending and _is_healthy(other, pool, now)
        for other in pool.snapshot.workers
    )


def is_stopped(worker: WorkerSample) -> bool:
    """Whether somebody has stopped it, by a signal, a debugger or with its control group."""
    return _state(worker) in STOPPED or (worker.pulse is not None and worker.pulse.frozen_since is not None)


def _is_healthy(worker: WorkerSample, pool: Pool, now: float) -> bool:
    if not worker.up or worker.process is None or is_stopped(worker) or _state(worker) in NO_MORE:
        return False
    if now - worker.process.started_at < pool.settle_seconds:
        return False
    return not _hangs(worker, pool.incidents) and (late_seconds(worker) or 0.0) <= pool.max_delay_seconds


def _state(worker: WorkerSample) -> str:
    """As the latest look found it."""
    if worker.pulse is not None:
        return worker.pulse.state
    return worker.process.state if worker.process is not None else ""


def _hangs(worker: WorkerSample, incidents: Sequence[Incident]) -> bool:
    return any(each.kind == "worker_hung" and each.worker == worker.slot for each in incidents)
