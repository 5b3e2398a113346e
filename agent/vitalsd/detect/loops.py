"""What every detector of loops asks of a sample: whether a loop is seen, and by which names."""

from __future__ import annotations

import msgspec

from vitalsd.model import Histogram, LoopVitals, StallInProgress, WorkerSample, is_for_computing

__all__ = ["LoopView", "loops_of", "no_loop_reason"]


class LoopView(msgspec.Struct, frozen=True):
    """One loop, by whichever way it is seen."""

    name: str
    delay: Histogram
    busy_seconds: float
    idle_seconds: float
    stall_seconds: float
    current_stall: StallInProgress | None
    iterations: int | None = None
    ready_callbacks: int | None = None
    running: bool = True


def loops_of(sample: WorkerSample) -> tuple[LoopView, ...]:
    """Every loop of a worker that is up, but those whose threads are there to compute."""
    if not sample.up:
        return ()
    if sample.probe is not None:
        runtime = sample.probe.runtime
        return tuple(
            _probed(loop)
            for loop in sample.probe.loops
            if loop.running and not is_for_computing(runtime, loop.name)
        )
    seen = sample.observed
    if seen is None:
        return ()
    return (
        LoopView("main", seen.delay, seen.busy_seconds, seen.idle_seconds, seen.stall_seconds, seen.current_stall),
    )


def no_loop_reason(sample: WorkerSample | None) -> str:
    """Why no loop of this worker is seen."""
    if sample is None:
        return "this worker has not been sampled yet"
    if not sample.up:
        return "this worker is not up"
    if sample.probe is not None:
        return "no event loop runs in this worker"
    why = [sample.missing[field] for field in ("observed", "probe") if field in sample.missing]
    return f"no event loop is seen: {'; '.join(why)}" if why else "no event loop is seen in this worker"


def _probed(loop: LoopVitals) -> LoopView:
    return LoopView(
        name=loop.name,
        delay=loop.delay,
        busy_seconds=loop.busy_seconds,
        idle_seconds=loop.idle_seconds,
        stall_seconds=loop.stall_seconds,
        current_stall=loop.current_stall,
        iterations=loop.iterations,
        ready_callbacks=loop.ready_callbacks,
    )
