"""
What the memory of a process does that leaks nothing, and looks as if: one function for each way.

Values are one a minute, in MiB, and are added to a base of 80 to 200 MiB. What is `held` is live objects, which a
live heap shows too; what is `loose` is garbage, holes and arenas, which only the process's memory shows. Standard
library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

__all__ = ["EXTRA", "PUBLISHED", "UNTELLABLE", "Kind", "Shape", "held", "loose", "noise"]

HOUR, DAY, WEEK = 60, 1440, 10080
NOISE_KEEPS, NOISE_MIB = 0.97, 0.25


@dataclass
class Shape:
    """What comes on top of the base, minute by minute."""

    held: list[float]
    loose: list[float]
    starts: list[int] = field(default_factory=lambda: [0])
    """Minutes at which a process began."""
    swapped: list[float] | None = None
    """How much of it lies in swap."""


Kind = Callable[[Random, int, float], Shape]


def noise(chance: Random, minutes: int) -> list[float]:
    """What every process has: an AR(1), of a size of its own."""
    scale, value, values = chance.uniform(0.3, 1.5), 0.0, []
    for _ in range(minutes):
        value = NOISE_KEEPS * value + chance.gauss(0, NOISE_MIB * scale)
        values.append(value)
    return values


def held(values: list[float]) -> Shape:
    """Live objects, all of it."""
    return Shape(values, [0.0] * len(values))


def loose(values: list[float]) -> Shape:
    """None of it is live."""
    return Shape([0.0] * len(values), values)


def flat(_chance: Random, minutes: int, _base: float) -> Shape:
    """Nothing but noise."""
    return held([0.0] * minutes)


def warm_up(chance: Random, minutes: int, base: float) -> Shape:
    """Saturates within hours."""
    return held(_saturating(minutes, base * chance.uniform(0.3, 1.2), chance.uniform(20, 180)))


def slow_warm_up(chance: Random, minutes: int, base: float) -> Shape:
    """Saturates within a day or two."""
    return held(_saturating(minutes, base * chance.uniform(0.2, 0.6), chance.uniform(300, 900)))


def _saturating(minutes: int, size: float, tau: float) -> list[float]:
    return [size * (1 - math.exp(-minute / tau)) for minute in range(minutes)]


def cache_fill(chance: Random, minutes: int, base: float) -> Shape:
    """A straight line for 2 to 12 h, then flat."""
    size, fills = base * chance.uniform(0.2, 0.8), chance.uniform(120, 720)
    return held([size * min(minute / fills, 1.0) for minute in range(minutes)])


def log_fragmentation(chance: Random, minutes: int, base: float) -> Shape:
    """Grows for ever, and ever more slowly."""
    size = base * chance.uniform(0.05, 0.15)
    return loose([size * math.log(1 + minute / 30) for minute in range(minutes)])


def sawtooth(chance: Random, minutes: int, base: float) -> Shape:
    """Garbage between collections."""
    return loose(_sawtooth(chance, minutes, base * chance.uniform(0.2, 0.6), chance.uniform(10, 90)))


def _sawtooth(chance: Random, minutes: int, size: float, period: float) -> list[float]:
    """Its height wanders by a random walk of 10 % a tooth."""
    place, height, values = chance.random(), size, []
    for _ in range(minutes):
        values.append(height * place)
        place += 1 / period
        if place >= 1.0:
            place %= 1.0
            height = min(2 * size, max(0.3 * size, height * (1 + chance.gauss(0, 0.1))))
    return values


def steps(chance: Random, minutes: int, base: float) -> Shape:
    """One to three, any time after the first hour."""
    values = [0.0] * minutes
    for _ in range(chance.randint(1, 3)):
        height = base * chance.uniform(0.1, 0.4)
        for minute in range(chance.randint(HOUR, minutes - 1), minutes):
            values[minute] += height
    return held(values)


def diurnal(chance: Random, minutes: int, base: float) -> Shape:
    """Daily load."""
    return held(_cycle(minutes, base * chance.uniform(0.1, 0.35), DAY, chance.random()))


def _cycle(minutes: int, size: float, period: int, phase: float) -> list[float]:
    return [size * (1 - math.cos(2 * math.pi * (minute / period + phase))) / 2 for minute in range(minutes)]


def diurnal_saw(chance: Random, minutes: int, base: float) -> Shape:
    """Daily load, and garbage."""
    load = _cycle(minutes, base * chance.uniform(0.1, 0.3), DAY, chance.random())
    return Shape(load, _sawtooth(chance, minutes, base * chance.uniform(0.1, 0.4), chance.uniform(10, 60)))


def ou_walk(chance: Random, minutes: int, _base: float) -> Shape:
    """Wanders, and is drawn back (Ornstein-Uhlenbeck)."""
    return held(_ou(chance, minutes, chance.uniform(0.3, 1.2), chance.uniform(300, 1500)))


def _ou(chance: Random, minutes: int, step: float, tau: float) -> list[float]:
    value, values = 0.0, []
    for _ in range(minutes):
        value = value * (1 - 1 / tau) + chance.gauss(0, step)
        values.append(value)
    return values


def bursts(chance: Random, minutes: int, base: float) -> Shape:
    """5 to 29 in three days, of up to an hour."""
    values = [0.0] * minutes
    for _ in range(chance.randint(5, 29) * minutes // (3 * DAY)):
        began, height = chance.randrange(minutes), base * chance.uniform(0.2, 1)
        for minute in range(began, min(minutes, began + chance.randint(3, 59))):
            values[minute] = max(values[minute], height)
    return held(values)


def weekdays(chance: Random, minutes: int, base: float) -> Shape:
    """Daily load that is less on two days of seven."""
    size, phase, weekend = base * chance.uniform(0.1, 0.35), chance.uniform(0, 7), chance.uniform(0.2, 0.6)
    days = _cycle(minutes, size, DAY, phase)
    return held([load * (1.0 if (minute / DAY + phase) % 7 < 5 else weekend) for minute, load in enumerate(days)])


def weekly(chance: Random, minutes: int, base: float) -> Shape:
    """Load that swings over a week."""
    return held(_cycle(minutes, base * chance.uniform(0.1, 0.35), WEEK, chance.random()))


def weekly_daily(chance: Random, minutes: int, base: float) -> Shape:
    """Load that swings over a week and over each day."""
    week = _cycle(minutes, base * chance.uniform(0.1, 0.35), WEEK, chance.random())
    day = _cycle(minutes, base * chance.uniform(0.05, 0.2), DAY, chance.random())
    return held([slow + fast for slow, fast in zip(week, day, strict=True)])


def slow_walk(chance: Random, minutes: int, base: float) -> Shape:
    """A random walk whose daily steps have a deviation of 2 to 10 % of the base, and that nothing draws back."""
    step, value, values = base * chance.uniform(0.02, 0.10) / math.sqrt(DAY), 0.0, []
    for _ in range(minutes):
        value = max(-0.5 * base, value + chance.gauss(0, step))
        values.append(value)
    return held(values)


def long_ou(chance: Random, minutes: int, base: float) -> Shape:
    """Wanders by 3 to 10 % of the base, and is drawn back within one to four days."""
    tau = chance.uniform(DAY, 4 * DAY)
    return held(_ou(chance, minutes, base * chance.uniform(0.03, 0.10) / math.sqrt(tau / 2), tau))


def arenas(chance: Random, minutes: int, base: float) -> Shape:
    """Arenas that are seldom given back: the 0.2th to 0.5th power of the time, 10 to 40 % in a day, in steps."""
    size, power, apart = base * chance.uniform(0.1, 0.4), chance.uniform(0.2, 0.5), chance.uniform(20, 120)
    values, level, due = [], 0.0, 0.0
    for minute in range(minutes):
        if minute >= due:
            level, due = size * (minute / DAY) ** power, minute + chance.expovariate(1 / apart)
        values.append(level)
    return loose(values)


def nightly_job(chance: Random, minutes: int, base: float) -> Shape:
    """A job at the same hour of each day, of 40 to 240 min."""
    return held(_job(minutes, DAY, chance.uniform(0, DAY), chance.uniform(40, 240), base * chance.uniform(0.2, 1)))


def job_each_6_h(chance: Random, minutes: int, base: float) -> Shape:
    """A job four times a day, of 10 to 90 min."""
    every = 6 * HOUR
    return held(
        _job(minutes, every, chance.uniform(0, every), chance.uniform(10, 90), base * chance.uniform(0.2, 1))
    )


def _job(minutes: int, every: int, at: float, lasts: float, size: float) -> list[float]:
    """Its memory rises while it runs."""
    into = ((minute - at) % every for minute in range(minutes))
    return [size * since / lasts if since < lasts else 0.0 for since in into]


def deploys(chance: Random, minutes: int, base: float) -> Shape:
    """A new version every 6 to 72 h, with a warm-up, each 10 % smaller to 20 % larger than the one before."""
    values: list[float] = []
    starts, factor = [], 1.0
    while len(values) < minutes:
        starts.append(len(values))
        tau = chance.uniform(5, 120)
        lasts = min(minutes - len(values), int(chance.uniform(6, 72) * HOUR))
        values += [base * (factor - 1 - 0.3 * math.exp(-minute / tau)) for minute in range(lasts)]
        factor *= chance.uniform(0.9, 1.2)
    return Shape(values, [0.0] * minutes, starts)


def recycling(chance: Random, minutes: int, base: float) -> Shape:
    """`max_requests`: workers that grow by 10 to 60 % within 1 to 12 h and are then replaced."""
    values: list[float] = []
    starts, life, size = [], chance.uniform(1, 12) * HOUR, base * chance.uniform(0.1, 0.6)
    while len(values) < minutes:
        starts.append(len(values))
        lasts = min(minutes - len(values), int(life * chance.uniform(0.8, 1.2)))
        values += [size * minute / life for minute in range(lasts)]
    return Shape(values, [0.0] * minutes, starts)


def swap_comes_back(chance: Random, minutes: int, base: float) -> Shape:
    """Up to 60 % of it is swapped out within minutes, and comes back within 1 to 24 h; the sum does not change."""
    swapped, out, back, due = [], 0.0, 0.0, chance.uniform(2, 36) * HOUR
    for minute in range(minutes):
        if minute >= due:
            out = base * chance.uniform(0.1, 0.6)
            back = out / (chance.uniform(1, 24) * HOUR)
            due = minute + chance.uniform(6, 48) * HOUR
        swapped.append(out)
        out = max(0.0, out - back)
    return Shape([0.0] * minutes, [0.0] * minutes, swapped=swapped)


def collector_changes(chance: Random, minutes: int, base: float) -> Shape:
    """Garbage whose collections come every 5 to 240 min, at another pace every 12 to 48 h."""
    values: list[float] = []
    while len(values) < minutes:
        lasts = min(minutes - len(values), int(chance.uniform(12, 48) * HOUR))
        values += _sawtooth(chance, lasts, base * chance.uniform(0.2, 0.6), chance.uniform(5, 240))
    return loose(values)


def campaign(chance: Random, minutes: int, base: float) -> Shape:
    """Daily load, and two days of 1.5 to 3 times as much, reached within 1 to 12 h."""
    size, phase, times = base * chance.uniform(0.1, 0.25), chance.random(), chance.uniform(1.5, 3)
    began, ramp = chance.uniform(2, 5) * DAY, chance.uniform(1, 12) * HOUR
    values = []
    for minute, load in enumerate(_cycle(minutes, size, DAY, phase)):
        over = min((minute - began) / ramp, (began + 2 * DAY - minute) / ramp, 1.0)
        values.append(load * (1 + (times - 1) * max(0.0, over)))
    return held(values)


def holiday(chance: Random, minutes: int, base: float) -> Shape:
    """Daily load of which 10 to 40 % is left on three days."""
    size, phase, left = base * chance.uniform(0.1, 0.35), chance.random(), chance.uniform(0.1, 0.4)
    began = chance.uniform(0, 4) * DAY
    days = _cycle(minutes, size, DAY, phase)
    return held([load * (left if 0 <= minute - began < 3 * DAY else 1.0) for minute, load in enumerate(days)])


def reload_doubles(chance: Random, minutes: int, base: float) -> Shape:
    """A new configuration: half as much to twice as much, in a straight line of three hours."""
    began, size = chance.uniform(1.5, 5) * DAY, base * chance.uniform(0.5, 1)
    return held([size * min(1.0, max(0.0, (minute - began) / (3 * HOUR))) for minute in range(minutes)])


def fills_for_days(chance: Random, minutes: int, base: float) -> Shape:
    """A cache that fills in a straight line for one to three days."""
    began, fills = chance.uniform(0, 3) * DAY, chance.uniform(1, 3) * DAY
    size = base * chance.uniform(0.3, 1)
    return held([size * min(1.0, max(0.0, (minute - began) / fills)) for minute in range(minutes)])


PUBLISHED: Mapping[str, Kind] = {
    "flat": flat,
    "warm-up": warm_up,
    "slow warm-up": slow_warm_up,
    "cache fill": cache_fill,
    "log fragmentation": log_fragmentation,
    "sawtooth": sawtooth,
    "steps": steps,
    "diurnal": diurnal,
    "diurnal and sawtooth": diurnal_saw,
    "OU walk": ou_walk,
    "bursts": bursts,
}
"""Those whose figures are known of other detectors: three days each."""
EXTRA: Mapping[str, Kind] = {
    "weekdays and weekend": weekdays,
    "weekly": weekly,
    "weekly and daily": weekly_daily,
    "slow random walk": slow_walk,
    "OU walk of days": long_ou,
    "arenas": arenas,
    "nightly job": nightly_job,
    "job each 6 h": job_each_6_h,
    "deploys": deploys,
    "max_requests": recycling,
    "swap comes back": swap_comes_back,
    "collector changes": collector_changes,
    "holiday": holiday,
}
"""Eight days each."""
UNTELLABLE: Mapping[str, Kind] = {
    "campaign": campaign,
    "reload doubles": reload_doubles,
    "fills for days": fills_for_days,
}
"""New load or new data that comes to stay: a leak until it stops, as far as memory shows. Counted, and no bar."""
