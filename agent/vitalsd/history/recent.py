"""
What each loop did in the last minute: the difference between its counters now and then.

Counters alone tell of a worker's whole life, in which a bad minute drowns. The samples of the last minute are in
memory already, for the detectors; this holds on to them by worker, and looks at two of them when somebody asks.
Pure: clocks are handed in. Costs a reference per worker and round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from vitalsd.history.beginnings import began_at
from vitalsd.model import (
    OBSERVED_LOOP,
    Histogram,
    LoopVitals,
    ObservedLoop,
    RecentLoop,
    TargetSnapshot,
    WorkerKey,
    WorkerSample,
)

__all__ = ["SPACING_SECONDS", "WINDOW_SECONDS", "Recent"]

WINDOW_SECONDS = 60.0
SPACING_SECONDS = 5.0
"""Between two samples that are kept, the latest apart: a sample is 4 KB."""
P99 = 0.99
Loop = LoopVitals | ObservedLoop


class Recent:
    """The samples of the last minute, and one before it to compare with."""

    def __init__(self) -> None:
        self._samples: dict[WorkerKey, deque[tuple[float, WorkerSample]]] = {}

    def keep(self, targets: Iterable[TargetSnapshot], now: float) -> None:
        """Take in a round of sampling that began at CLOCK_MONOTONIC `now`; who is not in it is forgotten."""
        before, self._samples = self._samples, {}
        for target in targets:
            for worker in target.workers:
                if worker.key is None or not worker.up:
                    continue
                samples = self._samples[worker.key] = before.get(worker.key, deque())
                samples.append((now, worker))
                if len(samples) > 2 and samples[-2][0] - samples[-3][0] < SPACING_SECONDS:
                    del samples[-2]
                while len(samples) > 1 and samples[1][0] <= now - WINDOW_SECONDS:
                    samples.popleft()

    def of(self, worker: WorkerSample, now: float, unix_now: float) -> Mapping[str, RecentLoop]:
        """Loop -> what it did in the last minute, or in less where less is known."""
        samples = self._samples.get(worker.key) if worker.key is not None else None
        if not samples:
            return {}
        at, then = samples[0]
        known = _loops(then)
        seconds = now - at
        started_at = began_at(worker)
        age = unix_now - started_at if started_at is not None else WINDOW_SECONDS
        if age < WINDOW_SECONDS:  # all that it has ever done
            known, seconds = {}, max(0.0, age)
        return {name: _between(known.get(name), loop, seconds) for name, loop in _loops(worker).items()}

    def cpu_share(self, worker: WorkerSample) -> float | None:
        """Of one processor in the last minute, or in less where less is known; None of one that is new here."""
        samples = self._samples.get(worker.key) if worker.key is not None else None
        if not samples or worker.process is None:
            return None
        then = samples[0][1]
        seconds = worker.at - then.at
        if then.process is None or seconds <= 0:
            return None
        return max(0.0, worker.process.cpu_seconds - then.process.cpu_seconds) / seconds


def _loops(worker: WorkerSample) -> dict[str, Loop]:
    if worker.probe is not None:
        return {loop.name: loop for loop in worker.probe.loops}
    return {OBSERVED_LOOP: worker.observed} if worker.observed is not None else {}


def _between(then: Loop | None, now: Loop, seconds: float) -> RecentLoop:
    if then is None or now.delay.buckets[-1] < then.delay.buckets[-1]:  # somebody else counts now, from the start
        busy, idle, stalls, counts = now.busy_seconds, now.idle_seconds, now.stalls, now.delay.buckets
    else:
        busy, idle = now.busy_seconds - then.busy_seconds, now.idle_seconds - then.idle_seconds
        stalls = now.stalls - then.stalls
        counts = tuple(map(int.__sub__, now.delay.buckets, then.delay.buckets))
    total = busy + idle
    return RecentLoop(
        seconds=round(seconds, 1),
        busy_share=round(max(0.0, busy) / total, 4) if total > 0 else None,
        delay_p99_between_seconds=_p99(Histogram(now.delay.bounds, counts, 0.0)),
        stalls=max(0, stalls),
    )


def _p99(delay: Histogram) -> tuple[float, float | None] | None:
    """The bounds of the bucket in which it lies; nobody knows more than that."""
    if delay.buckets[-1] <= 0:
        return None
    lower = 0.0
    for bound, count in zip(delay.bounds, delay.buckets, strict=False):
        if count >= P99 * delay.buckets[-1]:
            return lower, bound
        lower = bound
    return lower, None
