"""Any points come to a verdict, the same one each time, whatever the wall clock shows."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.detect.growth.lives import DAY, MIDNIGHT

from vitalsd.backtest import DETECTORS
from vitalsd.detect.growth.plan import Plan
from vitalsd.detect.growth.watch import GrowthWatch
from vitalsd.detect.registry import Seen
from vitalsd.history.points import Point
from vitalsd.settings.model import Settings

MINUTE = Plan(day_seconds=60.0, settle_seconds=1.0, exhaustion_seconds=60.0)
STRANGE = st.sampled_from([None, 0.0, -0.0, 1.0, 2.0**31, 2.0**63, -1.0, 1e300, 5e-324])
STEPS = st.sampled_from([1.0, 1.0, 1.0, 0.2, 0.2, 2.5, 0.0, 60.0, 1e6, -3.0, -1e5])
STARTS = st.sampled_from([-100.0, -100.0, -100.0, -100.0, 0.0, 50.0, 1e7])
USUAL = {
    "rss_anon": (3e8, 1e6),
    "swap": (0.0, 0.0),
    "limit": (6e8, 0.0),
    "heap_live": (1e8, 1e6),
    "heap_used": (1e8, 1e6),
    "blocks": (1e6, 1e4),
    "fds": (60.0, 1.0),
    "threads": (9.0, 0.5),
    "tasks": (100.0, 5.0),
}
"""Level and pace."""


@st.composite
def runs(draw) -> list[Point]:
    """Some stretches of a life in which each series is flat, grows, shrinks or is anything at all."""
    points, at = [], MIDNIGHT
    now = {name: level for name, (level, _) in USUAL.items()}
    for _ in range(draw(st.integers(1, 4))):
        step, start = draw(STEPS), MIDNIGHT + draw(STARTS)
        paces = {
            name: pace * draw(st.sampled_from([0.0, 0.0, 1.0, 1.0, -0.3])) for name, (_, pace) in USUAL.items()
        }
        strange = draw(st.dictionaries(st.sampled_from(sorted(USUAL)), STRANGE, max_size=2))
        for _ in range(draw(st.sampled_from([1, 20, 100, 100]))):
            at = max(0.0, at + step)
            now = {name: value + paces[name] for name, value in now.items()}
            points.append(Point(at, "shop", "0", start, **{**now, **strange}))
    return points


def verdicts(points, plan: Plan):
    """What every detector says after each point that is judged, reasons included."""
    watch, detectors = GrowthWatch(plan), [factory(Settings()) for factory in DETECTORS]
    said = []
    for point in points:
        if not watch.add(point):
            continue
        seen = Seen("shop", "0", watch.at, (), growth=watch)
        for detector in detectors:
            judgement = detector.judge(seen)
            assert bool(judgement.findings) == (not detector.is_quiet(seen) and judgement.state.state == "fired")
            assert judgement.state.reason
            said.append((watch.at, judgement))
    return said


@settings(deadline=None, max_examples=50)
@given(runs(), st.sampled_from([MINUTE, MINUTE, DAY]))
def test_no_points_are_too_strange(points, plan) -> None:
    """A verdict or a reason for none, again the same, and no later point changes what was said before it."""
    said = verdicts(points, plan)
    assert verdicts(points, plan) == said
    before = verdicts(points[: len(points) // 2], plan)
    assert before == said[: len(before)]


def test_the_wall_clock_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict is made of points alone, so a recording comes to what a running agent came to."""
    points = [
        Point(MIDNIGHT + number * 300, "shop", "0", 0.0, rss_anon=1e8 + 1e6 * number) for number in range(400)
    ]
    said = verdicts(points, DAY)

    def asked(*_: object) -> float:
        raise AssertionError("the clock was asked")

    for name in ("time", "monotonic", "time_ns", "monotonic_ns", "perf_counter"):
        monkeypatch.setattr(time, name, asked)
    again = verdicts(points, DAY)
    monkeypatch.undo()
    assert again == said
