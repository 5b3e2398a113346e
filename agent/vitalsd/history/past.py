"""
What detectors of rates have to know of a slot that goes further back than its latest samples: collections,
unhandled errors, executors, what was alive of a heap. Bounded in number and size, whatever the worker does.

Pure. Costs about 5 us per worker and round, and up to 16 KiB per worker, 30 KiB of Node.
"""

from __future__ import annotations

import msgspec

from vitalsd.history.alive import Alive
from vitalsd.history.failures import Failures
from vitalsd.history.garbage import Garbage
from vitalsd.history.spaced import Spaced
from vitalsd.model import PoolVitals, WorkerKey, WorkerSample
from vitalsd.settings.model import Settings

__all__ = ["POOL_PARTS", "Past", "Spans", "spans_of"]

POOL_PARTS = 15
"""Two seconds apart in the default window, as the samples are."""


class Spans(msgspec.Struct, frozen=True):
    """How far back is to be known."""

    gc_window_seconds: float
    gc_pauses_within_seconds: float
    errors_window_seconds: float
    errors_past_seconds: float
    pool_held_seconds: float
    settle_seconds: float


def spans_of(settings: Settings) -> Spans:
    """What the detectors of these settings ask for."""
    memory, workers = settings.memory, settings.workers
    return Spans(
        gc_window_seconds=memory.gc_window,
        gc_pauses_within_seconds=memory.gc_pauses_within,
        errors_window_seconds=workers.errors_window,
        errors_past_seconds=workers.errors_past,
        pool_held_seconds=workers.pool_held,
        settle_seconds=workers.settle,
    )


class Past:
    """Of whoever sits, and sat, in one slot."""

    def __init__(self, spans: Spans) -> None:
        self.garbage = Garbage(spans.gc_window_seconds, spans.gc_pauses_within_seconds, spans.settle_seconds)
        self.failures = Failures(spans.errors_window_seconds, spans.errors_past_seconds, spans.settle_seconds)
        self.alive = Alive()
        self.pools: Spaced[tuple[PoolVitals, ...]] = Spaced(spans.pool_held_seconds, POOL_PARTS)
        """The executors of one process, as they were since calls wait."""
        self._key: WorkerKey | None = None

    def take(self, sample: WorkerSample) -> None:
        """Take in a sample of the slot."""
        self.garbage.take(sample)
        self.failures.take(sample)
        self.alive.take(sample)
        probe = sample.probe
        nobody_waits = probe is not None and not any(pool.queued for pool in probe.pools)
        if sample.key != self._key or nobody_waits:
            self._key = sample.key
            self.pools.clear()
        if probe is not None:
            self.pools.put(sample.at, probe.pools)
