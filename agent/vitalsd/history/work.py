"""
How much each worker of a pool has worked, over a window and the one before it.

By the processor time of its process, and by the time that its main loop was busy. Pure. Costs 5 us per
worker and round, and thirty readings per slot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from vitalsd.history.spaced import Spaced
from vitalsd.model import TargetSnapshot, WorkerKey, WorkerSample

__all__ = ["Load", "WorkBook"]

PARTS = 15
"""Of a window: its ends are known that well."""
SHARE_SECONDS = 30.0
"""A share is of so much time at least."""


class Load(msgspec.Struct, frozen=True):
    """What one process did in one window."""

    cores: float
    """Processor time per second."""
    busy: float | None
    """The part of the time in which its main loop was at work; None where none is known."""


class _Reading(msgspec.Struct, frozen=True):
    cpu_seconds: float
    busy_seconds: float | None


class WorkBook:
    """Of all targets."""

    def __init__(self, window_seconds: float) -> None:
        self._window = window_seconds
        self._slots: dict[tuple[str, str], tuple[WorkerKey, Spaced[_Reading]]] = {}

    def reconfigure(self, window_seconds: float) -> None:
        """Another window begins anew."""
        if window_seconds != self._window:
            self._window, self._slots = window_seconds, {}

    def take(self, targets: Iterable[TargetSnapshot]) -> tuple[TargetSnapshot, ...]:
        """Take in a round; the same targets, with each worker's share of the work of its pool."""
        before, self._slots = self._slots, {}
        told = []
        for target in targets:
            for worker in target.workers:
                self._keep(worker, before.get((worker.target, worker.slot)))
            told.append(self._shared(target))
        return tuple(told)

    def loads(self, target: TargetSnapshot) -> Mapping[str, tuple[Load, Load]]:
        """Slot -> the window up to now, and the one before it; only of those that have lived for both."""
        found = {}
        for worker in target.workers:
            _, readings = self._slots.get((target.name, worker.slot), (None, None))
            if readings is None:
                continue
            last, middle, first = readings.newest, readings.back(self._window), readings.back(2 * self._window)
            if last is not None and middle is not None and first is not None:
                found[worker.slot] = _load(middle, last), _load(first, middle)
        return found

    def _keep(self, worker: WorkerSample, before: tuple[WorkerKey, Spaced[_Reading]] | None) -> None:
        if worker.key is None or not worker.up or worker.process is None:
            return
        if before is None or before[0] != worker.key:
            before = worker.key, Spaced(2 * self._window, 2 * PARTS)
        before[1].put(worker.at, _Reading(worker.process.cpu_seconds, _busy_seconds(worker)))
        self._slots[worker.target, worker.slot] = before

    def _shared(self, target: TargetSnapshot) -> TargetSnapshot:
        used = {}
        for worker in target.workers:
            _, readings = self._slots.get((target.name, worker.slot), (None, None))
            load = _lately(readings, self._window) if readings is not None else None
            if load is not None:
                used[worker.slot] = load.cores
        together = sum(used.values())
        if len(used) < 2 or together <= 0:
            return target
        workers = tuple(
            replace(worker, share=round(used[worker.slot] / together, 3)) if worker.slot in used else worker
            for worker in target.workers
        )
        return replace(target, workers=workers)


def _lately(readings: Spaced[_Reading], window_seconds: float) -> Load | None:
    """Over the window, or as much of it as is known."""
    last = readings.newest
    first = readings.back(window_seconds) or readings.oldest
    if last is None or first is None or last[0] - first[0] < SHARE_SECONDS:
        return None
    return _load(first, last)


def _load(first: tuple[float, _Reading], last: tuple[float, _Reading]) -> Load:
    seconds = last[0] - first[0]
    busy = None
    if first[1].busy_seconds is not None and last[1].busy_seconds is not None:
        busy = min(1.0, max(0.0, last[1].busy_seconds - first[1].busy_seconds) / seconds)
    return Load(max(0.0, last[1].cpu_seconds - first[1].cpu_seconds) / seconds, busy)


def _busy_seconds(worker: WorkerSample) -> float | None:
    """Of the main thread's loop, or of the first there is: that is the one that takes requests."""
    if worker.probe is not None:
        return worker.probe.loops[0].busy_seconds if worker.probe.loops else None
    return worker.observed.busy_seconds if worker.observed is not None else None
