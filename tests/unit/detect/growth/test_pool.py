"""What the others of a pool tell: a leak follows age, load follows the clock."""

from __future__ import annotations

from unit.detect.growth.lives import MIDNIGHT, flat, life, noise, ramp, together

from vitalsd.backtest import Backtest
from vitalsd.settings.model import Settings


def pool(course, ages=(0, 30, 60), hours=62.0):
    """Workers of different ages, hour by hour beside each other."""
    lives = [
        life(hours, course(age, number), born=-200.0 + age, worker=str(number)) for number, age in enumerate(ages)
    ]
    for points in zip(*lives, strict=True):
        yield from points


def opened(points):
    """Kind, worker, hour, and what it says of the pool."""
    return [
        (each.kind, each.worker, (each.opened_at - MIDNIGHT) / 3600, each.evidence.get("pool"))
        for each in Backtest(Settings()).run(points)
        if each.kind == "leak"
    ]


def memory(number, *more):
    """300 MiB and more."""
    return together(flat(300), noise(1.0, seed=number), *more)


def test_growth_of_all_by_the_clock_is_load() -> None:
    """As long as only windows of hours show it."""
    points = list(pool(lambda _age, number: memory(number, ramp(12, 48, 60))))
    assert opened(points) == []
    alone = [kind for kind, *_ in opened(point for point in points if point.worker == "0")]
    assert alone == ["leak"]


def test_the_reason_says_so() -> None:
    """With how many others, and what would make it a leak."""
    run = Backtest(Settings())
    list(run.run(pool(lambda _age, number: memory(number, ramp(12, 48, 60)), hours=60.0)))
    reasons = [(state.state, state.reason) for state in run.quiet() if state.rule == "leak"]
    assert len(reasons) == 3
    for state, reason in reasons:
        assert state == "watching"
        assert "but so have all 2 others of other ages, and none is larger for being older" in reason


def test_what_a_day_shows_too_is_a_leak() -> None:
    """Load would have gone down by then, in whatever pool."""
    leaks = opened(pool(lambda _age, number: memory(number, ramp(12, 48)), hours=84.0))
    assert {worker for _, worker, *_ in leaks} == {"0", "1", "2"}
    assert all(hour > 60 and said == {"others": 2, "alike": 2} for _, _, hour, said in leaks)


def test_one_that_grows_alone_leaks() -> None:
    """The others say so: none of them grows alike."""
    (leak,) = opened(pool(lambda _age, number: memory(number, *([ramp(12, 48)] if number == 1 else []))))
    assert leak[:2] == ("leak", "1")
    assert leak[3] == {"others": 2, "alike": 0}


def test_the_older_are_larger_where_all_leak() -> None:
    """Each has leaked for as long as it lives."""
    leaks = opened(pool(lambda age, number: memory(number, flat(-6 * age), ramp(6)), ages=(0, -20, -40), hours=40))
    assert {worker for _, worker, *_ in leaks} == {"0", "1", "2"}
    assert leaks[-1][3] == {"others": 2, "alike": 0}


def test_two_are_no_pool() -> None:
    """One other that grows alike may have the same leak."""
    leaks = opened(pool(lambda _age, number: memory(number, ramp(12, 48)), ages=(0, 60)))
    assert {worker for _, worker, *_ in leaks} == {"0", "1"}


def test_others_of_the_same_age_tell_nothing() -> None:
    """Started together, they leak together."""
    leaks = opened(pool(lambda _age, number: memory(number, ramp(12, 48)), ages=(0, 1, 2)))
    assert {worker for _, worker, *_ in leaks} == {"0", "1", "2"}
    assert all(said is None for *_, said in leaks)


def test_nothing_is_known_of_others_before_its_time() -> None:
    """A recording may hold one worker after the other; what comes later in time is no evidence."""
    by_worker = sorted(
        pool(lambda _age, number: memory(number, ramp(12, 48, 60)), hours=96.0), key=lambda p: p.worker
    )
    run = Backtest(Settings())
    leaks = [each for each in run.run(by_worker) if each.kind == "leak"]
    assert {each.worker for each in leaks} == {"0", "1", "2"}
    assert all("pool" not in each.evidence for each in leaks)
