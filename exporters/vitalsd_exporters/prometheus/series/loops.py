"""Of event loops, by the probe or from outside: delay, stalls, what waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import get_args

from vitalsd.model import OBSERVED_LOOP, Cause, LoopVitals, ObservedLoop, WorkerSample
from vitalsd_exporters.prometheus.series.rows import (
    Labels,
    Row,
    breakdown_rows,
    histogram_row,
    known_rows,
    labels_of,
    row,
    runtime_of,
)

__all__ = ["NEVER", "loop_rows", "stall_rows"]

NEVER: dict[str, tuple[Cause, ...]] = {
    "python": ("microtask_flood",),
    "node": ("ready_flood", "gil_contention"),
}
"""Runtime -> causes that its loops cannot have. From outside, too, the runtime is known by the program's name."""


def loop_rows(worker: WorkerSample) -> Iterator[Row]:
    """What the probe says of the process's event loops or, without one, what the observer sees from outside."""
    labels = labels_of(worker)
    if worker.probe is not None:
        loops = worker.probe.loops
        stalls = [loop.current_stall for loop in loops]
        yield from _counted_inside(loops, labels)
    elif worker.observed is not None:
        stalls = [worker.observed.current_stall]
        yield from _rows_of_one(worker.observed, labels | {"loop": OBSERVED_LOOP})
    else:
        return
    # One number per worker: the worst.
    longest = max((stall.seconds for stall in stalls if stall is not None), default=0.0)
    yield row("vitals_eventloop_stall_current_seconds", labels, longest)


def _counted_inside(loops: tuple[LoopVitals, ...], labels: Labels) -> Iterator[Row]:
    ready = [loop.ready_callbacks for loop in loops if loop.ready_callbacks is not None]
    if ready:
        yield row("vitals_eventloop_ready_callbacks", labels, sum(ready))
    for loop in loops:
        in_loop = labels | {"loop": loop.name}
        yield from _rows_of_one(loop, in_loop)
        # A heartbeat sees no single turn of its loop.
        yield from known_rows(in_loop, {"vitals_eventloop_iterations_total": loop.iterations})


def _rows_of_one(loop: LoopVitals | ObservedLoop, labels: Labels) -> Iterator[Row]:
    yield histogram_row("vitals_eventloop_delay_seconds", labels, loop.delay)
    yield row("vitals_eventloop_busy_seconds_total", labels, loop.busy_seconds)
    yield row("vitals_eventloop_idle_seconds_total", labels, loop.idle_seconds)


def stall_rows(worker: WorkerSample, counts: Mapping[Cause, tuple[int, float]]) -> Iterator[Row]:
    """
    Stalls by cause, for a worker of which anybody sees the loops.

    Every cause that it can have is there from the beginning: `increase()` misses the first of a series that begins
    at 1, and a worker which never stalled is a zero and not a gap.
    """
    if worker.probe is None and worker.observed is None:
        return
    labels = labels_of(worker)
    known = {**_no_stalls(runtime_of(worker)), **counts}
    counted = ((cause, count) for cause, (count, _) in known.items())
    yield from breakdown_rows("vitals_eventloop_stalls_total", labels, "cause", counted)
    lasted = ((cause, seconds) for cause, (_, seconds) in known.items())
    yield from breakdown_rows("vitals_eventloop_stall_seconds_total", labels, "cause", lasted)


@lru_cache(maxsize=8)
def _no_stalls(runtime: str) -> dict[Cause, tuple[int, float]]:
    """The zeros of every cause that a loop of this runtime can have."""
    never = NEVER.get(runtime, ())
    return {cause: (0, 0.0) for cause in get_args(Cause) if cause not in never}
