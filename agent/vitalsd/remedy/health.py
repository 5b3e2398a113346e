"""
How many workers of a target serve, as far as can be told from outside: what must remain while one is recycled.

Pure. Who is in doubt does not count: a worker that has just started may still be loading, one that is stopped or
hangs does nothing, and one whose loop is late now answers nobody.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from vitalsd.model import STOPPED, Incident, WorkerSample, late_seconds
from vitalsd.remedy.pool import Pool
from vitalsd.settings.units import format_duration

__all__ = ["Doubt", "doubts_about_others", "is_stopped"]

NO_MORE = ("Z", "X", "x")


class Doubt(msgspec.Struct, frozen=True):
    """Why one worker does not count as healthy."""

    worker: str
    """Its slot."""
    word: str
    """The reason in a word, which stays the same while its figures change."""
    sentence: str


def doubts_about_others(worker: WorkerSample, pool: Pool, now: float) -> list[Doubt]:
    """Those of the other workers that do not count, and why; all that are not named are healthy."""
    others = (other for other in pool.snapshot.workers if other.slot != worker.slot)
    told = ((other.slot, _doubt(other, pool, now)) for other in others)
    return [Doubt(slot, *why) for slot, why in told if why is not None]


def is_stopped(worker: WorkerSample) -> bool:
    """Whether somebody has stopped it, by a signal, a debugger or with its control group."""
    return _state(worker) in STOPPED or (worker.pulse is not None and worker.pulse.frozen_since is not None)


def _doubt(worker: WorkerSample, pool: Pool, now: float) -> tuple[str, str] | None:
    if any(each.in_progress and each.key == worker.key for each in pool.recyclings):
        return "ending", "is being recycled"
    if not worker.up:
        return "down", "is down"
    if worker.process is None:
        return "unknown", "has not been read yet"
    state = _state(worker)
    if is_stopped(worker):
        return "stopped", "is stopped"
    if state in NO_MORE:
        return "ended", "has ended, and its supervisor does not fetch it"
    if _hangs(worker, pool.incidents):
        return "hung", "hangs"
    young = pool.settle_seconds - max(0.0, now - worker.process.started_at)
    if young > 0:
        return "young", f"is young, and settles for {format_duration(math.ceil(young))} more (workers.settle)"
    late = late_seconds(worker) or 0.0
    if late > pool.max_delay_seconds:
        return "late", f"has a loop that is late by {late:.1f} s"
    return None


def _state(worker: WorkerSample) -> str:
    """As the latest look found it."""
    if worker.pulse is not None:
        return worker.pulse.state
    return worker.process.state if worker.process is not None else ""


def _hangs(worker: WorkerSample, incidents: Sequence[Incident]) -> bool:
    return any(each.kind == "worker_hung" and each.worker == worker.slot for each in incidents)
