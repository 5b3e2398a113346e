"""Lives of workers, written down as functions of the hours since they were first looked at."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator

from vitalsd.detect.growth.plan import Plan
from vitalsd.detect.growth.watch import GrowthWatch
from vitalsd.history.points import Point

MIB = 1 << 20
MIDNIGHT = 1_782_864_000.0
"""2026-07-01T00:00:00Z."""
DAY = Plan(day_seconds=86_400.0, settle_seconds=3_600.0, exhaustion_seconds=86_400.0)
Course = Callable[[float], float]
"""Hours -> value."""


def life(
    hours: float,
    memory: Course | None = None,
    *,
    day_seconds: float = 86_400.0,
    begins: float = 0.0,
    born: float = -200.0,
    every_minutes: float = 2.5,
    limit: float | None = None,
    target: str = "shop",
    worker: str = "0",
    **courses: Course,
) -> Iterator[Point]:
    """Points from hour `begins` for so many hours, of a process born at hour `born`, memory and heap in MiB."""
    hour = day_seconds / 24
    for number in range(round(hours * 60 / every_minutes)):
        # In the middle, so that no reading lies on the edge of a block, whatever a day's length.
        at = begins + (number + 0.5) * every_minutes / 60
        values: dict[str, float] = {name: course(at) for name, course in courses.items()}
        for name in {"heap_live", "heap_used", "swap"} & values.keys():
            values[name] *= MIB
        yield Point(
            t=MIDNIGHT + at * hour,
            target=target,
            worker=worker,
            start=MIDNIGHT + born * hour,
            rss_anon=max(0.0, memory(at)) * MIB if memory is not None else None,
            limit=limit * MIB if limit is not None else None,
            **values,
        )


def readings(*values: float, every_seconds: float = 300.0, **named: object) -> Iterator[Point]:
    """Points of these values, one in each shortest block."""
    for number, value in enumerate(values):
        yield Point(MIDNIGHT + number * every_seconds, "shop", "0", MIDNIGHT - 86_400 * 9, rss_anon=value, **named)


def watched(points: Iterable[Point], plan: Plan = DAY) -> GrowthWatch:
    """What a watch has come to after these."""
    watch = GrowthWatch(plan)
    for point in points:
        watch.add(point)
    return watch


def noise(amount: float, seed: int = 7) -> Course:
    """As a real process has it: each reading near the last one; the same each time that it is begun anew."""
    dice, now, latest = random.Random(seed), 0.0, -math.inf

    def course(hours: float) -> float:
        nonlocal dice, now, latest
        if hours < latest:
            dice, now = random.Random(seed), 0.0
        latest = hours
        now = 0.9 * now + dice.gauss(0.0, amount)
        return now

    return course


def together(*courses: Course) -> Course:
    """Their sum."""
    return lambda hours: sum(course(hours) for course in courses)


def flat(level: float) -> Course:
    """The same all the time."""
    return lambda _hours: level


def ramp(per_hour: float, since: float = 0.0, until: float = math.inf) -> Course:
    """Nothing, then so much more each hour, then no more."""
    return lambda hours: per_hour * min(max(0.0, hours - since), until - since)


def saw(height: float, minutes: float) -> Course:
    """Garbage that waits for its collector."""
    return lambda hours: height * (hours * 60 / minutes % 1.0)


def daily(height: float, peak: float = 14.0) -> Course:
    """Load as the day has it: nothing at night."""
    return lambda hours: height * (1 + math.cos((hours - peak) / 24 * math.tau)) / 2


def steps(*rises: tuple[float, float]) -> Course:
    """So much more from each hour on."""
    return lambda hours: sum(rise for since, rise in rises if hours >= since)


def filling(height: float, hours_to_fill: float, since: float = 0.0) -> Course:
    """A cache: a line, then nothing."""
    return ramp(height / hours_to_fill, since, since + hours_to_fill)


def warming(height: float, time_constant: float) -> Course:
    """Ever more slowly."""
    return lambda hours: height * (1 - math.exp(-max(0.0, hours) / time_constant))


def logarithmic(height: float, since: float = 0.0) -> Course:
    """Arenas that are never given back."""
    return lambda hours: height * math.log1p(max(0.0, hours - since) * 2)
