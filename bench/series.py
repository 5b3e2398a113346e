"""
Recordings of memory, as points one a minute: look-alikes, leaks among them, and the incident that everybody knows.

Each has a random beginning within the clock's day, and is the same for the same seed, kind and number. Standard
library only; `vitalsd` is fed with these through its public door, `Point`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from bench.lookalikes import DAY, EXTRA, HOUR, PUBLISHED, UNTELLABLE, Shape, held, noise
from vitalsd.history.points import Point

__all__ = ["CLASSIC_LIMIT_MIB", "CLEAN", "LEAKS", "LIMIT_MIB", "ONSET", "Series", "classic", "clean", "leaking"]

MIB = 1 << 20
EPOCH = 1_760_000_000
LIMIT_MIB = 1024.0
CLEAN = {**PUBLISHED, **EXTRA, **UNTELLABLE}
LEAKS = ("flat", "warm-up", "sawtooth", "diurnal", "diurnal and sawtooth", "OU walk", "stairs", "by load")
ONSET = DAY
"""A leak begins after a day."""
LEAK_DAYS, PUBLISHED_DAYS, EXTRA_DAYS = 3, 3, 8
COLLECTED_EVERY = (1, 10)
"""Minutes between full collections, after which the live heap is known."""
HEAP_NOISE_MIB = 0.2
CLASSIC_BASE_MIB, CLASSIC_LIMIT_MIB, CLASSIC_MIB_PER_HOUR = 300.0, 600.0, 50.0


@dataclass
class Series:
    """What one worker's memory did, minute by minute, in MiB."""

    began: float
    """Unix time."""
    memory: list[float]
    heap: list[float]
    limit: float = LIMIT_MIB
    starts: Sequence[int] = (0,)
    swapped: Sequence[float] | None = None

    @property
    def days(self) -> float:
        """How long it is."""
        return len(self.memory) / DAY

    def points(self, with_heap: bool) -> Iterator[Point]:
        """As an agent would have kept them."""
        starts = list(self.starts)
        start = self.began
        for minute, memory in enumerate(self.memory):
            if starts and minute >= starts[0]:
                start = self.began + 60.0 * starts.pop(0)
            swapped = self.swapped[minute] if self.swapped is not None else 0.0
            yield Point(
                t=self.began + 60.0 * minute,
                target="bench",
                worker="0",
                start=start,
                rss_anon=(memory - swapped) * MIB,
                swap=swapped * MIB,
                limit=self.limit * MIB,
                heap_live=self.heap[minute] * MIB if with_heap else None,
            )


def clean(seed: int, kind: str, number: int) -> Series:
    """A look-alike."""
    chance = Random(f"{seed}/clean/{kind}/{number}")
    minutes = DAY * (PUBLISHED_DAYS if kind in PUBLISHED else EXTRA_DAYS)
    base = chance.uniform(80, 200)
    return _series(chance, base, CLEAN[kind](chance, minutes, base), [0.0] * minutes)


def leaking(
    seed: int, kind: str, per_hour: float, number: int, *, outside: bool = False, onset: int = ONSET
) -> Series:
    """A leak of a share of the base each hour; `outside` of the heap, where native code leaks."""
    chance = Random(f"{seed}/leak/{kind}/{per_hour}/{number}")
    minutes = DAY * LEAK_DAYS
    base = chance.uniform(80, 200)
    around = CLEAN[kind](chance, minutes, base) if kind in CLEAN else held([0.0] * minutes)
    leaked = _leaked(chance, kind, minutes, base * per_hour / HOUR, onset)
    return _series(chance, base, around, leaked, outside=outside)


def _leaked(chance: Random, kind: str, minutes: int, per_minute: float, onset: int) -> list[float]:
    phase, leaked, told, due = chance.random(), 0.0, 0.0, float(onset)
    values = []
    for minute in range(minutes):
        load = 1 + 0.9 * math.cos(2 * math.pi * (minute / DAY + phase)) if kind == "by load" else 1.0
        if minute > onset:
            leaked += per_minute * load
        if kind != "stairs":
            told = leaked
        elif minute >= due:
            told, due = leaked, minute + chance.uniform(20, 60)
        values.append(told)
    return values


def _series(chance: Random, base: float, shape: Shape, leaked: list[float], *, outside: bool = False) -> Series:
    minutes = len(leaked)
    disturbed = noise(chance, minutes)
    memory = [
        max(1.0, base + inside + around + lost + other)
        for inside, around, lost, other in zip(shape.held, shape.loose, leaked, disturbed, strict=True)
    ]
    share = chance.uniform(0.5, 0.8)
    live = shape.held if outside else [inside + lost for inside, lost in zip(shape.held, leaked, strict=True)]
    heap = _after_collections(chance, [base * share + inside for inside in live])
    began = EPOCH + chance.randrange(DAY * 60)
    return Series(began, memory, heap, LIMIT_MIB, shape.starts, shape.swapped)


def _after_collections(chance: Random, live: list[float]) -> list[float]:
    """The live heap as it was after the last full collection."""
    every = chance.uniform(*COLLECTED_EVERY)
    values, known, due = [], 0.0, 0.0
    for minute, heap in enumerate(live):
        if minute >= due:
            known, due = max(1.0, heap + chance.gauss(0, HEAP_NOISE_MIB)), due + every
        values.append(known)
    return values


def classic(seed: int, number: int) -> tuple[Series, float]:
    """
    300 MB, quiet for a day, then 50 MB an hour under garbage, with a limit of 600 MB; and when it is killed.

    The garbage is 10 to 40 % of it, collected every 2 to 60 min. Until it is killed, in hours from the onset.
    """
    chance = Random(f"{seed}/classic/{number}")
    height, period = CLASSIC_BASE_MIB * chance.uniform(0.1, 0.4), chance.uniform(2, 60)
    share, began = chance.uniform(0.4, 0.8), EPOCH + chance.randrange(DAY * 60)
    value, place, memory, live = 0.0, chance.random(), [], []
    for minute in range(ONSET + 7 * HOUR):
        value = NOISE_KEEPS * value + chance.gauss(0, CLASSIC_NOISE_MIB)
        place = (place + 1 / period) % 1.0
        leaked = max(0, minute - ONSET) / HOUR * CLASSIC_MIB_PER_HOUR
        used = CLASSIC_BASE_MIB + value + leaked + height * place
        if used > CLASSIC_LIMIT_MIB:
            break
        memory.append(used)
        live.append(CLASSIC_BASE_MIB * share + leaked)
    series = Series(began, memory, _after_collections(chance, live), CLASSIC_LIMIT_MIB)
    return series, (len(memory) - ONSET) / HOUR


NOISE_KEEPS, CLASSIC_NOISE_MIB = 0.97, 0.3
