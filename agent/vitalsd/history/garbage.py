"""
What the collector of one process did lately: its counters as they were, far enough apart to keep minutes of them.

Counters alone tell of a process's whole life, in which a bad minute drowns. Pure. Costs about 3 us per reading,
and up to 11 KB per worker; one that collects nothing has one reading to keep.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import pairwise
from typing import TypeAlias

import msgspec

from vitalsd.history.beginnings import began_at
from vitalsd.history.spaced import Spaced
from vitalsd.model import GC_BOUNDS_SECONDS, Histogram, WorkerKey, WorkerSample

__all__ = ["Collected", "Garbage"]

WIDTH = 1 + len(GC_BOUNDS_SECONDS) + 1
"""Numbers that are kept of a generation: its seconds, and the buckets of its pauses."""
PARTS = 6
"""Of two windows of the share: a window is up to a third longer than it is asked for."""
PAUSE_PARTS = 10
Counters: TypeAlias = "array[float]"
"""Of all generations, one after the other."""


class Collected(msgspec.Struct, frozen=True):
    """What was collected between two readings."""

    wall_seconds: float
    seconds: tuple[float, ...]
    """By generation."""
    pauses: tuple[tuple[int, ...], ...]
    """By generation, how many lasted within each bucket of GC_BOUNDS_SECONDS, the last one beyond all bounds."""

    @property
    def share(self) -> float:
        """Of all time."""
        return sum(self.seconds) / self.wall_seconds

    @property
    def counts(self) -> tuple[int, ...]:
        """Collections by generation."""
        return tuple(sum(counts) for counts in self.pauses)

    def longer(self, than_seconds: float) -> tuple[int, ...]:
        """By generation, how many lasted longer, as far as the buckets tell."""
        first = 1 + bisect_left(GC_BOUNDS_SECONDS, than_seconds)
        return tuple(sum(counts[first:]) for counts in self.pauses)

    @property
    def longest_between(self) -> tuple[float, float | None] | None:
        """The bounds of the bucket that the longest pause lies in; the last one has no end."""
        edges = (0.0, *GC_BOUNDS_SECONDS, None)
        used = [bucket for counts in self.pauses for bucket, count in enumerate(counts) if count > 0]
        return (edges[max(used)] or 0.0, edges[max(used) + 1]) if used else None


class Garbage:
    """The collections of whoever sits in one slot."""

    def __init__(self, window_seconds: float, pauses_within_seconds: float, settle_seconds: float) -> None:
        self._window = window_seconds
        self._settle = settle_seconds
        self._key: WorkerKey | None = None
        self._readings: Spaced[Counters] = Spaced(2 * window_seconds, PARTS)
        self._longer: Spaced[Counters] = Spaced(pauses_within_seconds, PAUSE_PARTS)

    def take(self, sample: WorkerSample) -> None:
        """Take in a sample; another process begins anew, and only when it has settled."""
        if sample.key != self._key:
            self._key = sample.key
            self._readings.clear()
            self._longer.clear()
        probe, started_at = sample.probe, began_at(sample)
        if probe is None or started_at is None or not probe.gc_pauses:
            return
        if sample.at - started_at < self._settle:
            return
        counters = _counters(probe.gc_pauses)
        newest = self._readings.newest
        if newest is not None and counters == newest[1]:
            counters = newest[1]  # one for all readings of a process that collects nothing
        self._readings.put(sample.at, counters)
        self._longer.put(sample.at, counters)

    def windows(self) -> tuple[Collected, ...]:
        """The latest window and the one before it, as far as both are over."""
        latest = self._readings.newest
        middle = self._readings.back(self._window)
        first = self._readings.back(2 * self._window)
        pairs = [(latest, middle), (middle, first)]
        told = [_between(new, old) for new, old in pairs if new is not None and old is not None]
        return tuple(collected for collected in told if collected is not None)

    def least_share(self) -> float:
        """Of the parts that the two windows are made of, the latest apart, which may be short; 0 without them."""
        kept = [(at, sum(counters[::WIDTH])) for at, counters in self._readings][:-1]
        return min(((new[1] - old[1]) / (new[0] - old[0]) for old, new in pairwise(kept)), default=0.0)

    def lately(self) -> Collected | None:
        """As far back as pauses may recur, or as is known."""
        newest, oldest = self._longer.newest, self._longer.oldest
        return _between(newest, oldest) if newest is not None and oldest is not None else None

    def share(self) -> float:
        """Of the latest window, for next to nothing; 0 while there is none."""
        latest, before = self._readings.newest, self._readings.back(self._window)
        if latest is None or before is None:
            return 0.0
        return (sum(latest[1][::WIDTH]) - sum(before[1][::WIDTH])) / (latest[0] - before[0])

    def pauses_longer(self, than_seconds: float) -> int:
        """How many there were lately, for next to nothing."""
        newest, oldest = self._longer.newest, self._longer.oldest
        if newest is None or oldest is None:
            return 0
        return _longer(newest[1], than_seconds) - _longer(oldest[1], than_seconds)


def _counters(pauses: tuple[Histogram, ...]) -> Counters:
    numbers: list[float] = []
    for histogram in pauses:
        numbers.append(histogram.sum)
        numbers += histogram.buckets
    return array("d", numbers)  # all at once, so that it has no room to spare


def _longer(counters: Counters, than_seconds: float) -> int:
    at = 1 + bisect_left(GC_BOUNDS_SECONDS, than_seconds)
    if at >= WIDTH - 1:
        return 0
    return int(sum(counters[WIDTH - 1 :: WIDTH]) - sum(counters[at::WIDTH]))


def _between(new: tuple[float, Counters], old: tuple[float, Counters]) -> Collected | None:
    """None where they do not join: a counter that has stepped back is another's."""
    if new[0] <= old[0] or len(new[1]) != len(old[1]):
        return None
    grown = [after - before for after, before in zip(new[1], old[1], strict=True)]
    if min(grown, default=0.0) < 0:
        return None
    generations = [grown[at : at + WIDTH] for at in range(0, len(grown), WIDTH)]
    return Collected(
        wall_seconds=new[0] - old[0],
        seconds=tuple(seconds for seconds, *_ in generations),
        pauses=tuple(_apart(buckets) for _, *buckets in generations),
    )


def _apart(buckets: list[float]) -> tuple[int, ...]:
    """Counts within each bucket, of counts up to its end."""
    return tuple(max(0, int(up_to - below)) for below, up_to in pairwise((0.0, *buckets)))
