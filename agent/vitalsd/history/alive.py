"""
How much of a heap was alive after each full collection of late: the only reading without garbage in it.

Of heaps with a limit, which are V8's. Pure. Costs a comparison per reading, and up to 15 KB per worker.
"""

from __future__ import annotations

from vitalsd.history.spaced import Spaced
from vitalsd.model import WorkerKey, WorkerSample

__all__ = ["Alive"]

LATELY_SECONDS = 300.0
LATELY_PARTS = 100
LONG_SECONDS = 1800.0
"""A heap that takes longer than hours to fill is `growth`'s."""
LONG_PARTS = 30


class Alive:
    """What was alive in the heap of whoever sits in one slot."""

    def __init__(self) -> None:
        self.lately: Spaced[int] = Spaced(LATELY_SECONDS, LATELY_PARTS)
        """One for each sample that has seen a full collection since the one before it, some seconds apart."""
        self.long: Spaced[int] = Spaced(LONG_SECONDS, LONG_PARTS)
        """The same over half an hour, a minute apart."""
        self._key: WorkerKey | None = None
        self._collections: int | None = None

    def take(self, sample: WorkerSample) -> None:
        """Take in a sample; another process begins anew, and what was collected before its first sample is old."""
        if sample.key != self._key:
            self._key, self._collections = sample.key, None
            self.lately.clear()
            self.long.clear()
        probe = sample.probe
        if probe is None or probe.heap_limit_bytes is None or not probe.gc_pauses:
            return
        collections = probe.gc_pauses[-1].buckets[-1]
        is_first = self._collections is None
        if collections == self._collections:
            return
        self._collections = collections
        if not is_first and probe.heap_live_bytes is not None:
            self.lately.put(sample.at, probe.heap_live_bytes)
            self.long.put(sample.at, probe.heap_live_bytes)
