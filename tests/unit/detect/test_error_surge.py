"""When unhandled errors are more than a worker has ever lived with, and when they are its everyday life."""

from __future__ import annotations

import math
import random

import msgspec
import pytest
from unit.detect.lives import DAY, FETCH, HOUR, MINUTE, Life, every

from vitalsd.detect.error_surge import ErrorSurgeDetector, surprise
from vitalsd.model import Frame
from vitalsd.settings.model import Sampling, Settings, Workers


def life(seconds: float = HOUR, each=None, step: float = 10.0) -> Life:
    """A worker that has lived for so long, looked at now and then, and each two seconds from now on."""
    one = Life(ErrorSurgeDetector)
    one.step = step
    one.live(seconds, each)
    one.step = 2.0
    return one


def burst(one: Life, count: int = 12, seconds: float = 30.0) -> Life:
    """So many errors in so much time, one after the other."""
    before = one.at
    done = 0

    def each(life: Life) -> None:
        nonlocal done
        due = math.ceil(count * min(1.0, (life.at - before) / seconds))
        life.fail(due - done)
        done = due

    return one.live(seconds, each)


def by_chance(per_hour: float, seed: int = 1):
    """Errors that come independently of each other."""
    chance = random.Random(seed)

    def each(one: Life) -> None:
        mean = per_hour / 3600 * one.step
        count, left = 0, chance.random()
        term = math.exp(-mean)
        while left > term and count < 100:
            left -= term
            count += 1
            term *= mean / count
        one.fail(count)

    return each


def nightly(one: Life) -> Life:
    """A job that fails fifty times within ten minutes, each night, for a week; told in the first night."""
    one.step = 10.0
    for _ in range(7):
        burst(one, 50, 10 * MINUTE).live(DAY - 10 * MINUTE)
    one.found = [finding for finding in one.found if finding.at > one.at - 6 * DAY + MINUTE]
    return one


def hourly(one: Life) -> Life:
    """The same each hour; told in the first hours."""
    one.step = 10.0
    for _ in range(48):
        burst(one, 20, 2 * MINUTE).live(58 * MINUTE)
    one.found = [finding for finding in one.found if finding.at > one.at - 44 * HOUR]
    return one


def recycled(one: Life) -> Life:
    """A new worker each quarter of an hour, with thirty errors while it starts."""
    for _ in range(20):
        burst(one.restart(), 30, 40).live(14 * MINUTE)
    return one


QUIET = {
    "no error": life,
    "one after a day of none": lambda: life(DAY).fail().live(10 * MINUTE),
    "three at once": lambda: life().fail(3).live(10 * MINUTE),
    "nine in five minutes": lambda: burst(life(), 9, 4 * MINUTE).live(10 * MINUTE),
    "a hundred tasks of one failure": lambda: life().fail(100).live(10 * MINUTE),
    "as many as ever": lambda: life(2 * DAY, by_chance(240), step=30.0),
    "seldom, for days": lambda: life(2 * DAY, by_chance(6), step=30.0),
    "at a start": lambda: burst(Life(ErrorSurgeDetector), 50, 50).live(10 * MINUTE),
    "at each start": lambda: recycled(life()),
    "each night": lambda: nightly(life(DAY)),
    "each hour": lambda: hourly(life(6 * HOUR)),
    "twice as many as usual": lambda: life(DAY, by_chance(120)).live(HOUR, by_chance(240)),
    "tens, at a worker that nobody knows yet": lambda: burst(life(3 * MINUTE), 40, MINUTE).live(10 * MINUTE),
    "an end with pending tasks": lambda: life().fail(400).live(2).fail(300).live(2).restart().live(10 * MINUTE),
}


@pytest.mark.parametrize("name", QUIET)
def test_never_for_what_is_usual(name: str) -> None:
    """Few errors, all at one moment, at a start, by chance, or as ever."""
    assert QUIET[name]().found == []


SURGES = {
    "a dozen in half a minute": lambda: burst(life()),
    "a dozen after a day of none": lambda: burst(life(DAY)),
    "a dozen where few are usual": lambda: burst(life(DAY, by_chance(6)), 20, MINUTE),
    "ten times as many": lambda: life(DAY, by_chance(120)).live(10 * MINUTE, by_chance(1200)),
    "at a worker of a few minutes": lambda: burst(life(12 * MINUTE), 30, MINUTE),
    "hundreds at a worker that nobody knows yet": lambda: burst(life(3 * MINUTE), 140, MINUTE),
    "of a worker that has replaced another": lambda: burst(life().restart().live(2 * MINUTE)),
    "over a replacement": lambda: burst(burst(life(), 6, 30).restart().live(70), 6, 30),
}


@pytest.mark.parametrize("name", SURGES)
def test_more_than_ever(name: str) -> None:
    """Told at once, whatever was before."""
    one = SURGES[name]()
    assert one.found
    assert {finding.kind for finding in one.found} == {"error_surge"}


@pytest.mark.parametrize(("count", "fires"), [(9, False), (10, True)])
def test_least(count: int, fires: bool) -> None:
    """Ten in five minutes."""
    assert bool(burst(life(), count, 2 * MINUTE).found) is fires


@pytest.mark.parametrize(("per_window", "fires"), [(5, True), (10, False)])
def test_times(per_window: int, fires: bool) -> None:
    """Five times as many as usual."""
    usual = every(300 / per_window, lambda one: one.fail())
    one = life(DAY, usual)
    assert one.found == []
    burst(one, 30, MINUTE)
    assert bool(one.found) is fires
    assert fires or f"but {per_window}.0 are usual, and 5 times that would be told" in one.judge().state.reason


@pytest.mark.parametrize(("count", "fires"), [(99, False), (100, True)])
def test_without_a_past(count: int, fires: bool) -> None:
    """Ten times the least, where nobody knows what is usual."""
    one = burst(life(3 * MINUTE), count, 30)
    assert bool(one.found) is fires
    assert fires or "there is no past to compare with, where 100 would be told" in one.judge().state.reason


def test_an_agent_that_comes_later_knows_a_life() -> None:
    """What a process has counted so far is its past, however long nobody looked."""
    chronic, calm = (Life(ErrorSurgeDetector) for _ in range(2))
    for one, before in ((chronic, 4800), (calm, 3)):
        one.started_at = one.at - 10 * HOUR
        one.fail(before)
        one.live(5 * MINUTE, every(8, lambda life: life.fail()))
    assert chronic.found == []
    assert calm.found


def test_a_surge_is_told_while_it_lasts() -> None:
    """For hours; then it is the new usual. A minute after the last error nothing is found any more."""
    one = life(DAY)
    one.step = 10.0
    began = one.at
    one.live(8 * HOUR, every(10, lambda life: life.fail()))
    hours = (one.found[-1].at - began) / HOUR
    assert 5.8 < hours < 6.3
    assert one.judge().state.reason.endswith("but it has been like this for so long that it is the usual")
    gaps = [after.at - before.at for before, after in zip(one.found, one.found[1:], strict=False)]
    assert max(gaps) <= 10
    ends = burst(life(DAY), 30, 5 * MINUTE).live(20)
    assert ends.judge().findings
    assert ends.live(50).judge().state.reason.endswith("but there was none lately")


def test_a_second_failure_of_a_day_is_told_and_the_fifth_is_not() -> None:
    """What comes again and again is usual."""
    one = life(DAY)
    told = []
    for _ in range(5):
        one.found.clear()
        burst(one, 30, 3 * MINUTE)
        told.append(bool(one.found))
        one.step = 10.0
        one.live(2 * HOUR)
        one.step = 2.0
    assert told == [True, True, True, False, False]
    burst(one, 30, 3 * MINUTE)
    assert one.judge().state.reason.endswith("but it was like this 5 times before")
    one.live(2 * HOUR)
    one.found.clear()
    assert burst(one, 70, 3 * MINUTE).found


def test_the_same_time_of_yesterday() -> None:
    """Half an hour earlier or later, but not at another time of the day."""
    told = {}
    for later in (-25 * MINUTE, 25 * MINUTE, 3 * HOUR):
        one = burst(life(DAY), 30, 3 * MINUTE)
        one.step = 10.0
        one.live(DAY + later).found.clear()
        told[later] = bool(burst(one, 30, 3 * MINUTE).found)
    assert list(told.values()) == [False, False, True]


def test_finding() -> None:
    """Channel, type, origin, what was usual and what to do; the culprit is code of the service."""
    one = life(DAY, every(HOUR, lambda life: life.fail(1, "task", "TimeoutError")))
    library = (Frame("read", "/usr/lib/python3.11/asyncio/streams.py", 5), *FETCH)

    def each(life: Life) -> None:
        life.fail(2, frames=library)
        life.fail(1, "loop", "ValueError", ())

    one.live(30, each)
    (finding,) = one.judge().findings
    assert (finding.severity, finding.cause, finding.culprit) == ("warning", None, FETCH[0])
    assert finding.summary == (
        "Worker 0 of `shop` has had 30 task exceptions never retrieved in 300 s, mostly KeyError from fetch() "
        "(app.py:12), and 15 exceptions in callbacks of the loop, where 0.1 are usual; await the task, or look at "
        "its exception when it is done."
    )
    evidence = finding.evidence
    assert (evidence["channel"], evidence["type"], evidence["errors"]) == ("task", "KeyError", 30)
    assert evidence["usual"] == pytest.approx(1 / 12, rel=0.1)
    assert evidence["channels"] == {"task": 30, "loop": 15}
    assert evidence["looked_at"] == [
        {"type": "KeyError", "origin": {"function": "fetch", "file": "/srv/shop/app.py", "line": 12}, "times": 15}
    ]
    assert evidence["stacks"][0]["frames"][0]["function"] == "read"
    assert one.at - 30 <= finding.started_at <= finding.at <= one.at


def test_most_of_them() -> None:
    """Of several kinds the one that was seen most, by its function and not by the line."""
    one = life()
    for number in range(9):
        frame = Frame("save", "/srv/shop/db.py", 40 + number)
        one.fail(2, kind="KeyError" if number % 3 else "OSError", frames=(frame,)).live(6)
    (finding,) = one.judge().findings
    assert [(each["type"], each["times"]) for each in finding.evidence["looked_at"]] == [
        ("KeyError", 6),
        ("OSError", 3),
    ]
    assert "mostly KeyError from save() (db.py:41)" in finding.summary


def test_one_incident_whoever_is_to_blame() -> None:
    """The most frequent origin may change from look to look: it is the same surge."""
    one = burst(life())
    (finding,) = one.judge().findings
    other = msgspec.structs.replace(finding, culprit=Frame("save", "/srv/shop/db.py", 4))
    assert finding.place == other.place
    stall = msgspec.structs.replace(finding, kind="stall")
    assert stall.place != msgspec.structs.replace(other, kind="stall").place


@pytest.mark.parametrize(
    ("kind", "words"), [("KeyError", "mostly KeyError, where"), ("", "mostly without an exception,")]
)
def test_without_an_origin(kind: str, words: str) -> None:
    """What is not known is left out."""
    one = life()
    (finding,) = one.live(30, lambda life: life.fail(1, "loop", kind, ())).judge().findings
    assert (words in finding.summary, finding.culprit, finding.evidence["stacks"]) == (True, None, [])


@pytest.mark.parametrize(("count", "severity"), [(99, "warning"), (101, "critical")])
def test_severity(count: int, severity: str) -> None:
    """Ten times what is told is critical."""
    (finding,) = burst(life(DAY), count, MINUTE).judge().findings
    assert finding.severity == severity


def test_bounds_are_settings() -> None:
    """Each of them, in seconds where the defaults are minutes and a day."""
    workers = Workers(settle=0.0, errors_window=6.0, errors_least=5, errors_times=3, errors_past=120.0)
    settings = Settings(sampling=Sampling(interval=0.5), workers=workers)

    def short(seconds: float) -> Life:
        one = Life(ErrorSurgeDetector, settings)
        one.step = 0.5
        return one.live(seconds)

    assert burst(short(30), 15, 3).found
    assert not burst(short(30), 4, 3).found
    one = burst(short(130), 15, 3).live(117)
    one.found.clear()
    assert not burst(one, 15, 3).found


def test_states() -> None:
    """Why it does not fire: its numbers, or what it lacks."""
    assert Life(ErrorSurgeDetector).look().state.reason == "it is younger than 60 s: its errors are not judged yet"
    state = life().judge().state
    assert (state.state, state.reason) == ("quiet", "no unhandled errors in the last 300 s")
    state = life().fail(3).live(2).judge().state
    assert state.reason == "unhandled errors in the last 300 s: task 3; fewer than 10 are never a surge"
    state = life().fail(30).live(2).judge().state
    assert (state.state, state.reason) == (
        "watching",
        "30 task exceptions never retrieved in 300 s, but they came in one moment",
    )
    state = burst(life(12 * MINUTE), 11).judge().state
    assert state.reason.endswith("but with 0.0 as usual, as far as is known, they may be chance")
    state = burst(life(6 * MINUTE), 11).judge().state
    assert state.reason.endswith("but there is no past to compare with, where 100 would be told")
    blind = Life(ErrorSurgeDetector)
    blind.probed = False
    assert blind.look().state.reason == "only a probe tells of unhandled errors: this worker publishes no segment"


def test_false_alarms_by_chance() -> None:
    """Errors that come independently, at any usual rate, are no surge in weeks."""
    found = [
        life(3 * DAY, by_chance(rate, seed), step=30.0).found for rate in (2, 30, 120, 600) for seed in range(2)
    ]
    assert [len(each) for each in found] == [0] * 8


@pytest.mark.parametrize(
    ("count", "seconds", "before", "before_seconds"),
    [(10, 300, 0, 3600), (10, 300, 3, 3600), (30, 300, 100, 86_400), (3, 300, 0, 600), (12, 60, 2, 600)],
)
def test_surprise(count: int, seconds: float, before: int, before_seconds: float) -> None:
    """Never more than the exact binomial tail has it, equal where there was none before."""
    total, share = count + before, seconds / (seconds + before_seconds)
    tail = sum(math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(count, total + 1))
    told = surprise(count, seconds, before, before_seconds)
    assert told <= -math.log(tail) + 1e-9
    assert before or told == pytest.approx(-math.log(tail))
    assert surprise(before, before_seconds, count, seconds) == 0.0
