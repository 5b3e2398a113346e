"""Whole lives of a worker: what is told of each, in days of 24 hours and in days of a minute."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from unit.detect.growth.lives import (
    MIB,
    MIDNIGHT,
    daily,
    filling,
    flat,
    life,
    logarithmic,
    noise,
    ramp,
    saw,
    steps,
    together,
    warming,
)

from vitalsd.backtest import Backtest
from vitalsd.history.points import Point
from vitalsd.settings.model import Memory, Settings

PROVEN = {"leak", "fragmentation", "exhaustion", "fd_leak", "thread_leak", "task_leak"}
Life = Callable[[float], Iterator[Point]]


def plain(*more, hours=96.0, **how) -> Life:
    """A process of 300 MiB seen from outside, and what comes on top."""
    return lambda day: life(hours, together(flat(300), noise(1.0), *more), day_seconds=day, **how)


def probed(*more, inside=(), hours=96.0, **how) -> Life:
    """The same, with 120 MiB of it alive in the heap."""

    def lived(day: float) -> Iterator[Point]:
        heap = together(flat(120), noise(0.3, seed=9), *inside)
        return life(hours, together(flat(300), noise(1.0), *more), day_seconds=day, heap_live=heap, **how)

    return lived


def restarted(every: float, *more, hours=96.0) -> Life:
    """A worker that is replaced each so many hours, and begins anew."""

    def lived(day: float) -> Iterator[Point]:
        for begin in range(0, int(hours), int(every)):
            courses = [lambda at, course=course, begin=begin: course(at - begin) for course in more]
            memory = together(flat(300), noise(1.0, seed=begin), *courses)
            yield from life(every, memory, begins=begin, born=begin, day_seconds=day)

    return lived


def counted(hours=96.0, **courses) -> Life:
    """A process that does not grow, and something in it that may."""
    return lambda day: life(
        hours, together(flat(300), noise(1.0)), day_seconds=day, **{name: make() for name, make in courses.items()}
    )


def whole(*courses):
    """Counts are whole numbers."""
    return lambda: lambda hours: float(round(sum(course(hours) for course in courses)))


def weekday(height: float):
    """A week's load: little at the weekend."""
    return lambda hours: daily(height if int(hours // 24) % 7 < 5 else height / 6)(hours)


def away(height: float):
    """A steady load, four days with hardly any, and within an hour and a half all of it again."""
    return lambda hours: height * max(0.0, min(1.0, abs(hours - 90) / 1.5 - 32))


def first_monday(height: float):
    """Little for a day and a half, since it is a weekend; then a working day."""
    return lambda hours: daily(height / 5 if hours < 28 else height)(hours)


def jobs(height: float):
    """A job between two and three each night."""
    return lambda hours: height if 2 <= hours % 24 < 3 else 0.0


LOOK_ALIKES: dict[str, Life] = {
    "flat": plain(),
    "sawtooth": plain(saw(120, 40)),
    "a slow sawtooth": plain(saw(120, 150)),
    "a step": plain(steps((50, 100))),
    "three steps": plain(steps((40, 60), (52, 80), (63, 70))),
    "warm-up": plain(warming(200, 2), born=0),
    "a slow warm-up": plain(warming(200, 12), born=0),
    "arenas": plain(logarithmic(40), born=0),
    "arenas, later": plain(logarithmic(30, since=50)),
    "a cache fills in 6 h": plain(filling(200, 6), born=0),
    "a cache fills in 12 h": plain(filling(200, 12), born=0),
    "load": plain(daily(100), hours=120),
    "load and sawtooth": plain(daily(100), saw(80, 40), hours=120),
    "a week": plain(weekday(70), hours=240),
    "a job each night": plain(jobs(150), hours=120),
    "less than a day old": plain(ramp(5), hours=20, born=0),
    "swap comes back": plain(steps((50, -80), (60, 80))),
    "deployments": plain(steps((40, 25), (64, 25), (80, 25))),
    "recycled": restarted(12, warming(60, 1)),
    "recycled, leaking by little": restarted(6, ramp(4)),
    "warm-up, probed": probed(warming(150, 6), inside=[warming(150, 6)], born=0),
    "a cache fills, probed": probed(filling(150, 6), inside=[filling(150, 6)], born=0),
    "load, probed": probed(daily(60), inside=[daily(60)], hours=120),
    "load, and it shows on the third day": probed(daily(60), inside=[daily(60)], hours=120, born=-30),
    "connections come and go": counted(fds=whole(flat(60), daily(200), noise(4)), hours=120),
    "a pool that fills": counted(threads=whole(flat(8), filling(24, 0.5, since=50))),
    "tasks by load": counted(tasks=whole(flat(50), daily(400), noise(10)), hours=120),
    "back from a holiday, probed": probed(away(60), inside=[away(60)], hours=150),
    "users come on the first day": counted(tasks=whole(flat(1000), filling(1500, 20)), hours=60),
    "the first Monday": counted(fds=whole(flat(240), first_monday(120)), hours=60),
    "a few more": counted(fds=whole(flat(60), ramp(0.2, 48)), threads=whole(flat(12), ramp(0.1, 48))),
}
LEAKS: dict[str, tuple[Life, str, float]] = {
    "5 % an hour": (plain(ramp(15, 48)), "leak", 8),
    "2 % an hour": (plain(ramp(6, 48)), "leak", 15),
    "1 % an hour": (plain(ramp(3, 48), hours=120), "leak", 26),
    "5 % under a sawtooth": (plain(saw(80, 40), ramp(15, 48)), "leak", 8),
    "2 % under a sawtooth": (plain(saw(80, 40), ramp(6, 48)), "leak", 15),
    "5 % under load": (plain(daily(60), ramp(15, 48)), "leak", 10),
    "2 % under load": (plain(daily(60), ramp(6, 48), hours=120), "leak", 16),
    "in stairs": (plain(lambda hours: 3 * math.floor(max(0.0, hours - 48) * 2)), "leak", 15),
    "from birth": (plain(ramp(6), born=0), "leak", 30),
    "of a new version": (
        lambda day: (
            point
            for each in (plain(hours=40)(day), plain(ramp(12, 40), begins=40, hours=56, born=40)(day))
            for point in each
        ),
        "leak",
        19,
    ),
    "5 %, probed": (probed(ramp(15, 48), inside=[ramp(15, 48)]), "leak", 1.5),
    "2 %, probed": (probed(ramp(6, 48), inside=[ramp(6, 48)]), "leak", 3),
    "held, not in use": (probed(ramp(6, 48)), "fragmentation", 15),
    "descriptors among daily connections": (
        counted(fds=whole(flat(130), daily(260, 2), ramp(3, 48)), hours=192),
        "fd_leak",
        110,
    ),
    "descriptors": (counted(fds=whole(flat(60), noise(2), ramp(3, 48))), "fd_leak", 25),
    "threads": (counted(threads=whole(flat(12), ramp(1, 48))), "thread_leak", 16),
    "tasks": (counted(tasks=whole(flat(100), noise(3), ramp(10, 48))), "task_leak", 12),
}
NONE_BEFORE = {"from birth": 0.0, "of a new version": 40.0}


def told(lived: Life, day: float) -> list[tuple[str, float]]:
    """What has opened, and after how many hours."""
    settings = Settings(memory=Memory(day=day, settle=day / 24, exhaustion=day))
    opened = Backtest(settings).run(lived(day))
    return [(each.kind, round((each.opened_at - MIDNIGHT) / day * 24, 3)) for each in opened]


@cache
def known(name: str) -> list[tuple[str, float]]:
    """The same of days of 24 hours."""
    return told(LOOK_ALIKES[name] if name in LOOK_ALIKES else LEAKS[name][0], 86_400.0)


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_what_only_looks_like_a_leak_is_never_told_as_one(name: str) -> None:
    """It may be told as `growth`, which pages nobody."""
    assert {kind for kind, _ in known(name)} <= {"growth"}


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_told_as_what_it_is_and_in_time(name: str) -> None:
    """After it has begun, within so many hours, and as nothing else."""
    _, kind, within = LEAKS[name]
    proven = [each for each in known(name) if each[0] in PROVEN]
    assert [kind for kind, _ in proven] == [kind]
    began = NONE_BEFORE.get(name, 48.0)
    assert began < proven[0][1] <= began + within


@pytest.mark.parametrize("name", [*LOOK_ALIKES, *LEAKS])
def test_a_day_of_a_minute_comes_to_the_same(name: str) -> None:
    """All windows are parts of a day, so a test of a minute says what a day of production would."""
    lived = LOOK_ALIKES[name] if name in LOOK_ALIKES else LEAKS[name][0]
    minute = told(lived, 60.0)
    assert [kind for kind, _ in minute] == [kind for kind, _ in known(name)]
    assert [hour for _, hour in minute] == pytest.approx([hour for _, hour in known(name)], abs=0.01)


@pytest.mark.parametrize(("day", "says", "never"), [(86_400.0, "day", "period"), (60.0, "period", "day")])
def test_words_follow_the_length_of_a_day(day: float, says: str, never: str) -> None:
    """Of a minute nobody says that it was a day: sentences and reasons speak of periods then."""
    texts: list[str] = []
    for lived in (LEAKS["2 % under load"][0], LEAKS["from birth"][0], plain(ramp(5), hours=20, born=0)):
        backtest = Backtest(Settings(memory=Memory(day=day, settle=day / 24, exhaustion=day)))
        texts += [each.summary for each in backtest.run(lived(day))]
        texts += [each.reason for each in backtest.quiet()]
    said = " ".join(texts)
    assert "{" not in said
    assert re.search(rf"\b{says}s?\b", said)
    assert not re.search(rf"\b{never}s?\b", said)


def test_garbage_that_hides_the_leak_until_there_is_no_time():
    """A process is killed before eight floors are known: its limit is near, and three of them rise."""
    slow = saw(90, 50)
    lived = life(29, together(flat(300), noise(0.3), slow, ramp(50, 24)), limit=600, born=-30)
    told = [each for each in Backtest(Settings()).run(lived) if each.kind == "leak"]
    assert [each.evidence["against"] for each in told] == ["limit"]
    assert 26 < (told[0].opened_at - MIDNIGHT) / 3600 < 28.2
    assert told[0].evidence["time_to_limit_seconds"] < 7200


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.75])
def test_garbage_that_hides_the_line_of_the_peaks(phase: float):
    """Two fifths of the memory, collected each 50 min: no line fits its peaks, and its floors rise though."""
    lived, killed = together(flat(300), noise(0.3), saw(118, 50), ramp(50, 24)), 28.16
    points = life(killed - phase + 30, lambda at: lived(at + phase), begins=-30, limit=600, born=-60)
    told = [each for each in Backtest(Settings()).run(points) if each.kind == "leak"]
    assert [each.evidence["against"] for each in told] == ["limit"]
    left = MIDNIGHT + (killed - phase) * 3600 - told[0].opened_at
    assert left > 1800
    assert left / 2 < told[0].evidence["time_to_limit_seconds"] < left * 2
    assert told[0].evidence["peak_bytes"] < 600 * MIB


@pytest.mark.parametrize("last", [0.0, 40.0])
def test_a_floor_that_rises_once_is_not_told_near_the_limit(last: float):
    """Each step is to be a step: a floor that was as before an hour ago, and now is higher, may be a job's."""
    course = together(flat(300), noise(0.1), steps((30, 1), (31, 60), (32, last), (33, -61 - last)))
    told = [each.kind for each in Backtest(Settings()).run(life(40, course, limit=430))]
    assert "leak" not in told


def test_a_limit_that_is_near_is_no_leak_by_itself():
    """A job that fills what there is, and a working day in a small container, do not have floors that rise so."""
    job = steps((30, 120), (30.5, 120), (34, -240))
    day = together(flat(300), noise(0.3), daily(220))
    for course, limit in ((together(flat(300), noise(0.3), job), 600), (day, 540)):
        told = Backtest(Settings()).run(life(72, course, limit=limit))
        assert "leak" not in {each.kind for each in told}
