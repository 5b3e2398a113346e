"""When descriptors are about to be used up, before `accept` fails; and when a worker just has many."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace
from support.remedies import key, worker
from support.storing import NOON

from vitalsd.detect.fd_exhaustion import FdExhaustionDetector
from vitalsd.detect.registry import Judgement, Seen
from vitalsd.model import ProcessVitals, WorkerSample
from vitalsd.settings.model import Settings

LIMIT = 1024
Course = Callable[[float], float]
"""Seconds -> descriptors."""


def samples(course: Course, seconds: float, every: float = 3.0) -> list[WorkerSample]:
    """Of one worker."""
    return [
        replace(
            worker(0),
            at=NOON + at,
            process=ProcessVitals("S", NOON - 7200, 1.0, 4, open_fds=round(course(at)), max_fds=LIMIT),
        )
        for at in (number * every for number in range(int(seconds / every) + 1))
    ]


def judged(taken: list[WorkerSample]) -> Judgement:
    """By the last minute of them."""
    now = taken[-1].at
    lately = [each for each in taken if each.at >= now - 60]
    detector, seen = FdExhaustionDetector(Settings()), Seen("shop", "0", now, lately)
    judgement = detector.judge(seen)
    if judgement.findings:
        assert not detector.is_quiet(seen)
    return judgement


def lived(course: Course, seconds: float, every: float = 3.0) -> Iterator[Judgement]:
    """Round by round."""
    taken = samples(course, seconds, every)
    return (judged(taken[: number + 1]) for number in range(len(taken)))


def noisy(level: float, by: float) -> Course:
    """A number of connections that comes and goes."""
    chance = random.Random(7)
    return lambda _at: level + chance.uniform(-by, by)


@pytest.mark.parametrize(
    "course",
    [
        lambda _at: 0.7 * LIMIT,
        noisy(0.7 * LIMIT, 0.04 * LIMIT),
        noisy(0.82 * LIMIT, 0.02 * LIMIT),
        lambda at: min(0.7 * LIMIT, 50 + 30 * at),
        lambda at: 0.72 * LIMIT if at % 60 < 20 else 100,
        lambda at: 0.6 * LIMIT + at / 3600,
    ],
    ids=["steady at 70 %", "about 70 %", "about 82 %", "up to 70 % in 24 s", "bursts", "hardly grows"],
)
def test_never_for_one_that_has_many(course: Course) -> None:
    """As long as there is a quarter left, or nothing leads up to the limit."""
    assert not [found for each in lived(course, 1800) for found in each.findings]


@pytest.mark.parametrize("per_second", [0.3, 1.0, 5.0, 20.0])
@pytest.mark.parametrize("every", [1.0, 3.0])
def test_it_is_told_before_there_is_none_left(per_second: float, every: float) -> None:
    """However fast they go, as long as there are some rounds on the way; and of how long there is, it is right."""
    seconds = (LIMIT - 100) / per_second
    told = next(
        each.findings[0] for each in lived(lambda at: 100 + per_second * at, seconds, every) if each.findings
    )
    left = NOON + seconds - told.at
    assert left > 0
    assert per_second == 20.0 or left > 5 * every
    if "time_to_limit_seconds" in told.evidence:
        assert told.evidence["time_to_limit_seconds"] == pytest.approx(left, rel=0.2, abs=2)
        assert told.evidence["per_second"] == pytest.approx(per_second, rel=0.1)
    assert "then it accepts no connection" in told.summary


def test_close_to_the_limit_the_number_is_enough() -> None:
    """Nine tenths, for longer than a burst lasts; at 97 % at once, and then it is critical."""
    (high,) = judged(samples(lambda _at: 0.92 * LIMIT, 9)).findings
    assert (high.severity, high.evidence) == ("warning", {"count": 942, "limit": 1024, "used_share": 0.92})
    assert high.summary.startswith(
        "Worker 0 of `shop` has 942 of the 1,024 file descriptors that it may have, and the"
    )
    assert judged(samples(lambda at: 0.92 * LIMIT if at >= 30 else 100, 30)).state.state == "watching"
    (full,) = judged(samples(lambda at: LIMIT - 4 if at >= 30 else 100, 30)).findings
    assert full.severity == "critical"


def test_of_another_process_nothing_is_said() -> None:
    """What the one before had in this slot leads up to nothing."""
    before = [replace(each, key=key(7)) for each in samples(lambda at: 20 * at, 30)]
    after = replace(before[-1], key=key(0), at=before[-1].at + 3)
    full = replace(after.process, open_fds=round(0.8 * LIMIT)) if after.process is not None else None
    assert judged([*before, replace(after, process=full)]).findings == ()


@pytest.mark.parametrize("unknown", [{"open_fds": None}, {"max_fds": None}])
def test_what_may_not_be_read(unknown: dict[str, None]) -> None:
    """Is no number."""
    (sample,) = samples(lambda _at: LIMIT, 0)
    assert sample.process is not None
    blind = judged([replace(sample, process=replace(sample.process, **unknown))])
    assert (blind.findings, blind.state.state) == ((), "unavailable")


def test_a_burst_between_two_samples_of_a_calm_minute_is_none():
    """How long it was high is counted from the first sample that was, however far away the one before is."""
    assert judged(samples(lambda at: 0.92 * LIMIT if at >= 54 else 0.5 * LIMIT, 54, every=6.0)).findings == ()
    assert judged(samples(lambda at: 0.92 * LIMIT if at >= 54 else 0.5 * LIMIT, 60, every=6.0)).findings
