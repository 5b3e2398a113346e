"""
Recordings of counts: descriptors, threads and tasks of services that are busy, and of some that leak them.

Points one a minute, over eight days; what leaks begins to after a day. Standard
library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from bench.lookalikes import DAY, HOUR, weekdays
from bench.series import EPOCH, ONSET
from vitalsd.history.points import Point

__all__ = ["BACKGROUNDS", "BUSY", "COUNTS", "SHAPES", "Counted", "busy", "leaking_count"]

COUNTS: Mapping[str, tuple[float, float]] = {"fds": (30, 300), "threads": (6, 40), "tasks": (20, 1000)}
"""What is always there, from and to."""
BUSY_DAYS, LEAK_DAYS = 8, 8
Kind = Callable[[Random, int, float], list[float]]


@dataclass
class Counted:
    """One count of one worker, minute by minute."""

    count: str
    began: float
    values: list[int]

    def points(self) -> Iterator[Point]:
        """As an agent would have kept them."""
        fds, threads, tasks = (self.values if self.count == name else None for name in ("fds", "threads", "tasks"))
        for minute in range(len(self.values)):
            yield Point(
                t=self.began + 60.0 * minute,
                target="bench",
                worker="0",
                start=self.began,
                rss_anon=MEMORY_BYTES,
                fds=fds[minute] if fds is not None else None,
                threads=threads[minute] if threads is not None else None,
                tasks=tasks[minute] if tasks is not None else None,
            )


MEMORY_BYTES = 100.0 * (1 << 20)


def _around(chance: Random, means: list[float], lasts: float) -> list[float]:
    """How many are open at a time of what comes by chance and stays for so many minutes."""
    keeps = math.exp(-1 / lasts)
    step, value, values = math.sqrt(1 - keeps * keeps), chance.gauss(0, 1), []
    for mean in means:
        value = keeps * value + step * chance.gauss(0, 1)
        values.append(max(0.0, mean + math.sqrt(mean) * value))
    return values


def churn(chance: Random, minutes: int, base: float) -> list[float]:
    """Connections that come and go within half a minute to half an hour, as many at all times."""
    return _around(chance, [base * chance.uniform(0.2, 1.5)] * minutes, chance.uniform(0.5, 30))


def websockets(chance: Random, minutes: int, base: float) -> list[float]:
    """Connections that stay for up to two hours, and follow daily load."""
    size, phase = base * chance.uniform(0.3, 1.5), chance.random()
    means = [size * (1 - math.cos(2 * math.pi * (minute / DAY + phase))) / 2 for minute in range(minutes)]
    return _around(chance, means, chance.uniform(10, 120))


def weekday_websockets(chance: Random, minutes: int, base: float) -> list[float]:
    """The same, and fewer on two days of seven."""
    return _around(chance, weekdays(chance, minutes, base * chance.uniform(1, 4)).held, chance.uniform(10, 120))


def users_come(chance: Random, minutes: int, base: float) -> list[float]:
    """Users who come back over 6 to 24 h after a start, and daily load from then on."""
    ramp = chance.uniform(6, 24) * HOUR
    size, swing, phase = base * chance.uniform(0.5, 3), chance.uniform(0, 0.6), chance.random()
    means = [
        size * min(1.0, minute / ramp) * (1 - swing * (1 + math.cos(2 * math.pi * (minute / DAY + phase))) / 2)
        for minute in range(minutes)
    ]
    return _around(chance, means, chance.uniform(10, 120))


def bursts(chance: Random, minutes: int, base: float) -> list[float]:
    """2 to 10 a day, of up to an hour, up to five times what is always there."""
    values = [0.0] * minutes
    for _ in range(chance.randint(2, 10) * minutes // DAY):
        began, height = chance.randrange(minutes), base * chance.uniform(0.5, 4)
        for minute in range(began, min(minutes, began + chance.randint(3, 59))):
            values[minute] = max(values[minute], height)
    return values


def pools_fill(chance: Random, minutes: int, base: float) -> list[float]:
    """Pools that grow to their size as they are first needed, one connection after another, and keep them."""
    size, tau = base * chance.uniform(0.2, 1.5), chance.uniform(1, 24) * HOUR
    return [float(int(size * (1 - math.exp(-minute / tau)))) for minute in range(minutes)]


def reconnects(chance: Random, minutes: int, base: float) -> list[float]:
    """Connections that all drop one to three times, and come back within 10 to 300 min."""
    size = base * chance.uniform(0.5, 3)
    drops = sorted(chance.randrange(HOUR, minutes) for _ in range(chance.randint(1, 3)))
    tau, since, means = chance.uniform(10, 300), 10.0 * DAY, []
    for minute in range(minutes):
        if drops and minute >= drops[0]:
            drops.pop(0)
            since = 0.0
        means.append(size * (1 - math.exp(-since / tau)))
        since += 1
    return _around(chance, means, chance.uniform(10, 120))


BUSY: Mapping[str, Kind] = {
    "connection churn": churn,
    "websockets by day": websockets,
    "websockets by weekday": weekday_websockets,
    "users come over a day": users_come,
    "bursts": bursts,
    "pools fill": pools_fill,
    "all reconnect": reconnects,
}
BACKGROUNDS: Mapping[str, Kind] = {"connection churn": churn, "websockets by day": websockets, "bursts": bursts}
SHAPES = ("line", "stairs", "by load")


def busy(seed: int, kind: str, count: str, number: int) -> Counted:
    """A count that goes up and down."""
    chance = Random(f"{seed}/busy/{kind}/{count}/{number}")
    base = chance.uniform(*COUNTS[count])
    values = BUSY[kind](chance, BUSY_DAYS * DAY, base)
    return Counted(count, _began(chance), [int(base + value) for value in values])


def leaking_count(seed: int, background: str, shape: str, count: str, per_hour: float, number: int) -> Counted:
    """One that also grows by a share of its mean in each hour, and by one at the least."""
    chance = Random(f"{seed}/count/{background}/{shape}/{count}/{per_hour}/{number}")
    base, minutes = chance.uniform(*COUNTS[count]), LEAK_DAYS * DAY
    around = BACKGROUNDS[background](chance, minutes, base)
    pace = max(1.0, per_hour * (base + sum(around) / minutes)) / HOUR
    leaked, told, due, phase = 0.0, 0.0, float(ONSET), chance.random()
    values = []
    for minute, other in enumerate(around):
        if minute > ONSET:
            load = 1 + 0.9 * math.cos(2 * math.pi * (minute / DAY + phase)) if shape == "by load" else 1.0
            leaked += pace * load
        if shape != "stairs":
            told = leaked
        elif minute >= due:
            told, due = leaked, minute + chance.uniform(20, 120)
        values.append(int(base + other) + int(told))
    return Counted(count, _began(chance), values)


def _began(chance: Random) -> float:
    return EPOCH + chance.randrange(DAY * 60)
