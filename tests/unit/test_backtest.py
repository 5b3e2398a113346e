"""Detectors over a recording: as an agent would have told it, in the recording's own time."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from unit.detect.growth.lives import MIDNIGHT, flat, life, noise, ramp, saw, together

from vitalsd.backtest import DETECTORS, Backtest
from vitalsd.settings.model import Memory, Settings

MINUTE = Settings(memory=Memory(day=60.0, settle=2.5, exhaustion=60.0))


def memory(*more):
    """300 MiB and more."""
    return together(flat(300), noise(1.0), *more)


def opened(points, configured=None):
    """What opens, in its order."""
    return list(Backtest(configured or Settings()).run(points))


def hour(incident) -> float:
    """When it opened."""
    return (incident.opened_at - MIDNIGHT) / 3600


def test_an_incident_is_what_was_known_when_it_opened() -> None:
    """Opened at the time of the point that told of it, open, with one entry in its timeline."""
    points = list(life(60, memory(ramp(15, 48)), limit=700))
    incidents = opened(points)
    assert sorted(each.kind for each in incidents) == ["exhaustion", "growth", "leak"]
    assert incidents == sorted(incidents, key=lambda each: each.opened_at)
    (leak,) = [each for each in incidents if each.kind == "leak"]
    (told_by,) = [point for point in points if point.t == leak.opened_at]
    assert leak.evidence["memory_bytes"] == round(told_by.rss_anon)
    assert (leak.target, leak.worker, leak.state, leak.resolved_at) == ("shop", "0", "open", None)
    assert (leak.severity, leak.count, leak.updated_at) == ("warning", 1, leak.opened_at)
    fact = leak.summary.replace("; plan a restart before that", "")
    assert leak.timeline == ({"at": leak.opened_at, "event": "opened", "text": f"warning: {fact}"},)
    assert leak.advice == "plan a restart before that"
    assert msgspec.to_builtins(leak.evidence) == leak.evidence


def test_the_same_recording_is_told_the_same_each_time() -> None:
    """Ids too, so that two runs can be compared; no two incidents have the same."""
    points = list(life(60, memory(ramp(15, 48)), limit=900))
    first = opened(points)
    assert opened(points) == first
    assert len({each.id for each in first}) == len(first)


def test_every_detector_of_growth_is_asked() -> None:
    """And those only: there are no stalls in a recording."""
    kinds = {"leak", "growth", "fragmentation", "exhaustion", "fd_leak", "thread_leak", "task_leak"}
    assert {each.kind for each in DETECTORS} == kinds
    run = Backtest(Settings())
    assert list(run.run(life(1, memory()))) == []
    assert {state.rule for state in run.quiet()} == kinds
    assert all(state.reason for state in run.quiet())


def test_a_rule_that_has_fired_needs_no_reason() -> None:
    """The others say why they did not."""
    run = Backtest(Settings())
    kinds = {each.kind for each in run.run(life(60, memory(ramp(15, 48)), limit=900))}
    assert {state.rule for state in run.quiet()} == {each.kind for each in DETECTORS} - kinds
    assert (run.points, run.workers) == (60 * 24, 1)


def test_workers_are_judged_by_themselves() -> None:
    """Mixed in one recording as in two."""
    lives = [
        list(life(60, memory(ramp(per_hour, 48)), worker=worker, target=target))
        for per_hour, worker, target in ((15, "0", "shop"), (0, "1", "shop"), (15, "0", "legacy"))
    ]
    run = Backtest(Settings())
    mixed = list(run.run(point for points in zip(*lives, strict=True) for point in points))
    assert run.workers == 3
    assert {(each.target, each.worker) for each in mixed} == {("shop", "0"), ("legacy", "0")}
    for points in lives:
        mine = [each for each in mixed if (each.target, each.worker) == (points[0].target, points[0].worker)]
        assert [(each.kind, each.opened_at) for each in mine] == [
            (each.kind, each.opened_at) for each in opened(points)
        ]


def test_what_goes_on_is_opened_once_and_what_comes_back_again() -> None:
    """It is over when it was not found for half an hour."""
    points = [*life(60, memory(ramp(15, 48, 58))), *life(60, memory(flat(150), ramp(15, 84)), begins=60)]
    leaks = [hour(each) for each in opened(points) if each.kind == "leak"]
    assert len(leaks) == 2
    assert 48 < leaks[0] < 60
    assert 84 < leaks[1] < 100


def test_the_windows_of_the_configuration_hold() -> None:
    """A day of a minute."""
    (leak,) = [
        each for each in opened(life(60, memory(ramp(15, 48)), day_seconds=60), MINUTE) if each.kind == "leak"
    ]
    assert 48 < (leak.opened_at - MIDNIGHT) / 60 * 24 < 56
    assert opened(life(60, memory(ramp(15, 48)), day_seconds=60)) == []


def test_text_of_a_recording_is_made_sound() -> None:
    """A name may hold what a terminal would obey."""
    points = [replace(point, target="sh\x1b[31mop\n") for point in life(60, memory(ramp(15, 48)))]
    for incident in opened(points):
        assert "\x1b" not in incident.summary
        assert "\n" not in incident.summary


STRETCHES = st.lists(
    st.tuples(st.integers(5, 40), st.sampled_from([0.0, 6.0, 15.0, 60.0, -5.0]), st.booleans()),
    min_size=2,
    max_size=5,
)


@settings(deadline=None, max_examples=12)
@given(STRETCHES, st.floats(0.05, 0.95), st.integers(1, 3))
def test_nothing_is_known_before_its_time(stretches, share: float, workers: int) -> None:
    """What opens in the first part of a recording is what opens first in all of it."""
    points = []
    for number in range(workers):
        at, level = 0.0, 300.0
        for hours, per_hour, restarts in stretches:
            course = together(flat(level), noise(1.0, seed=number), ramp(per_hour * (number + 1), at))
            born = at if restarts else -200.0
            how = {"begins": at, "born": born, "worker": str(number), "every_minutes": 5.0, "limit": 1500}
            points += life(hours, course, heap_live=together(flat(100), ramp(per_hour, at)), **how)
            at, level = at + hours, 300.0 if restarts else level + per_hour * hours
    points.sort(key=lambda point: point.t)
    whole = opened(points)
    part = opened(points[: int(len(points) * share)])
    assert part == whole[: len(part)]
    assert all(each.opened_at >= points[int(len(points) * share) - 1].t for each in whole[len(part) :])


def test_the_classic_incident() -> None:
    """
    A service of 300 MiB that begins to leak 50 MiB an hour after a day, under a sawtooth, with a limit of 600 MiB:
    told within 45 minutes with evidence from inside, and from outside before it is killed, with the time there is.
    """
    killed = 24 + (600 - 360) / 50
    course = memory(saw(60, 20), ramp(50, 24))
    inside = together(flat(180), noise(0.5, seed=3), ramp(50, 24))
    leak = next(each for each in opened(life(28.5, course, limit=600, heap_live=inside)) if each.kind == "leak")
    assert leak.evidence["proven_by"] == "heap"
    assert 24 < hour(leak) < 24.75
    outside = next(each for each in opened(life(28.5, course, limit=600)) if each.kind == "leak")
    assert hour(outside) < killed
    for told in (leak, outside):
        left = (killed - hour(told)) * 3600
        assert told.evidence["time_to_limit_seconds"] == pytest.approx(left, rel=0.2)
    assert outside.severity == "critical"
