"""How late the loops of a worker are right now: what health, remedy and the look for life go by. Pure."""

from __future__ import annotations

from vitalsd.model.runtimes import is_for_computing
from vitalsd.model.samples import OBSERVED_LOOP, WorkerSample
from vitalsd.model.vitals import StallInProgress

__all__ = ["late_loops", "late_seconds", "stalled_seconds"]


def late_loops(sample: WorkerSample) -> tuple[tuple[str, StallInProgress], ...]:
    """
    Each loop that is known to run, and what is in progress of it: 0 s where it is on time.

    Also what is no stall yet: `health.max_delay` may be shorter than that. From outside only a stall shows.
    """
    if sample.probe is not None:
        return tuple(
            (loop.name, loop.current_stall or StallInProgress(0.0, loop.late_seconds, ()))
            for loop in sample.probe.loops
            if (loop.running or loop.current_stall is not None)
            and not is_for_computing(sample.probe.runtime, loop.name)
        )
    if sample.observed is not None:
        return ((OBSERVED_LOOP, sample.observed.current_stall or StallInProgress(0.0, 0.0, ())),)
    return ()


def late_seconds(sample: WorkerSample) -> float | None:
    """Of the loop that is late most; None where none is known to run."""
    return max((stall.seconds for _, stall in late_loops(sample)), default=None)


def stalled_seconds(sample: WorkerSample) -> float | None:
    """Of the longest stall in progress; None where none is."""
    if sample.probe is None:
        stalls = [sample.observed.current_stall] if sample.observed is not None else []
    else:
        runtime = sample.probe.runtime
        stalls = [loop.current_stall for loop in sample.probe.loops if not is_for_computing(runtime, loop.name)]
    return max((stall.seconds for stall in stalls if stall is not None), default=None)
