"""What has the shape of a leak: windows of eight floors, one reason at a time."""

from __future__ import annotations

import math

import pytest
from unit.detect.growth.lives import MIB

from vitalsd.detect.growth.floors import Blocks
from vitalsd.detect.growth.plan import EVIDENCE_BOUNDS, MEMORY_BOUNDS
from vitalsd.detect.growth.shape import NotYet, Rise, _measured, judge, steadiness

DAY = 86_400.0
LINE = [310, 320, 330, 340, 350, 360, 370, 380]
"""Eight floors of a leak, in MiB, of a process that has 300."""


def blocks(lows, hours=1.0, own=None) -> Blocks:
    """Blocks of so many hours; the latest `own` of them are of the present process."""
    made = Blocks(hours * 3600, 1, 1000)
    made.lows.extend(math.nan if low is None else low * MIB for low in lows)
    made.own = 0 if own is None else len(made.lows) - own
    return made


def judged(lows, hours=1.0, own=None, bounds=MEMORY_BOUNDS):
    """What the latest window comes to."""
    return judge(blocks(lows, hours, own), DAY, bounds)


def past(level=300.0, swing=0.0, count=24):
    """A day of the past."""
    return [level + swing * (1 + math.sin(number * math.tau / 24)) / 2 for number in range(count)]


def test_a_line_above_the_past_is_a_rise() -> None:
    """With its size, its share of the level before it, and when its window ended."""
    rise = judged([*past(), *LINE])
    assert isinstance(rise, Rise)
    assert (rise.view, rise.window_seconds, rise.ended_at) == ("level", 8 * 3600, 32 * 3600)
    assert rise.grew == pytest.approx(70 * MIB)
    assert (rise.level, rise.share) == (300 * MIB, pytest.approx(70 / 300))
    assert rise.steadiness == 1000.0
    assert rise.floors == tuple(low * MIB for low in LINE)


NEARLY = {
    "flat": ([*past(), *[300] * 8], "it did not grow"),
    "less than 4 MiB": ([*past(10), *[10 + 0.5 * step for step in range(1, 9)]], "it did not grow"),
    "shrinks": ([*past(), *reversed(LINE)], "it did not grow"),
    "from nothing": ([*past(0), *LINE], "it was nothing before"),
    "back to where it was": ([*past(count=20), 390, 390, 390, 390, *LINE], "it was as high before"),
    "levels off": ([*past(), 310, 335, 355, 370, 380, 386, 390, 392], "it levels off"),
    "a past that swings": ([*past(300, 60), *LINE], "it is hardly higher than it was before"),
    "not by much": ([*past(), *range(304, 336, 4)], "it has not grown by much"),
    "one step": ([*past(), 301, 302, 303, 304, 380, 381, 382, 383], "it does not grow steadily"),
    "a step late": ([*past(), 301, 302, 303, 304, 305, 306, 380, 381], "it does not grow steadily"),
    "a walk": ([*past(), 303, 296, 330, 322, 350, 335, 390, 384], "it does not grow steadily"),
}


NEAR = ("not by much", "one step", "a step late", "a walk")


@pytest.mark.parametrize("name", NEARLY)
def test_what_is_none_says_why(name: str) -> None:
    """Each look-alike is told by what it lacks."""
    lows, why = NEARLY[name]
    judgement = judged(lows)
    assert isinstance(judgement, NotYet)
    assert (judgement.why, judgement.early) == (why, False)


@pytest.mark.parametrize(
    ("lows", "own", "why"),
    [
        (LINE, None, "there is no {day} before it to compare with"),
        ([*past(), *LINE], 7, "its process is younger than that"),
        ([*past(), *LINE[:4], None, None, None, *LINE[4:]], None, "part of it was not watched"),
    ],
    ids=["no past", "young", "a hole"],
)
def test_what_cannot_be_judged_says_so(lows, own, why) -> None:
    """It is too early for a verdict; a rise without a past is told as what it may be."""
    judgement = judged(lows, own=own)
    assert isinstance(judgement, NotYet)
    assert judgement.why == why
    assert judgement.early is (judgement.near is None)


def test_what_lacks_only_proof_is_near() -> None:
    """So that it can be told as growth; what has come back to where it was is not."""
    for name, (lows, _) in NEARLY.items():
        near = judged(lows).near
        assert (near is not None) == (name in NEAR), name
        assert near is None or near.floors == ()


@pytest.mark.parametrize(("missing", "rises"), [(1, True), (2, True), (3, False)])
def test_some_blocks_may_be_missing(missing: int, rises: bool) -> None:
    """An agent that was away for a little is no reason to begin anew."""
    lows = [None if 3 <= number < 3 + missing else low for number, low in enumerate(LINE)]
    assert isinstance(judged([*past(), *lows]), Rise) is rises


@pytest.mark.parametrize(("days", "rises"), [(22, False), (23, True)])
def test_most_of_a_day_before_it_is_needed(days: int, rises: bool) -> None:
    """Without it, nobody knows what a day does."""
    assert isinstance(judged([*past(count=days), *LINE]), Rise) is rises


def test_a_predecessor_is_a_past() -> None:
    """A restart does not begin anew: what the process before it had is what to be above."""
    assert isinstance(judged([*past(), *LINE], own=24), Rise)
    higher = judged([*past(400), *LINE], own=8)
    assert isinstance(higher, NotYet)
    assert higher.why == "it was as high before"


@pytest.mark.parametrize(("own", "hours", "rises"), [(22, 1, False), (23, 1, True), (8, 2, True)])
def test_in_the_first_day_of_a_life_only_long_windows_tell(own: int, hours: float, rises: bool) -> None:
    """A cache may fill for hours; what was before its process is not its past."""
    judgement = judged([*past(), *LINE], own=own, hours=hours)
    assert isinstance(judgement, Rise) is rises
    if not rises:
        assert judgement.why == "its process is younger than a {day}"
        assert judgement.near is not None
    assert isinstance(judged([*past(), *LINE], own=8, bounds=EVIDENCE_BOUNDS), Rise)
    assert judged([*past(count=48), *LINE], own=8, hours=0.5, bounds=EVIDENCE_BOUNDS).why == (
        "its process is younger than a {day}"
    )


def test_the_pace_must_hold_as_a_process_gets_older() -> None:
    """Arenas grow with the logarithm of age, a leak by the hour; a rise that is new needs no age."""
    slower = [300 + 200 * math.log(block) for block in range(1, 17)]
    judgement = judged(slower, hours=3)
    assert isinstance(judgement, NotYet)
    assert judgement.why == "it grows more slowly the older it gets"
    assert isinstance(judged([300 + 20 * block for block in range(16)], hours=3), Rise)
    anew = [700 + 30 * block for block in range(1, 9)]
    assert isinstance(judged([*slower[:8], *[700] * 16, *anew], hours=3), Rise)


def test_a_long_line_needs_to_be_less_high_if_it_is_very_steady() -> None:
    """Twelve hours to a day, hardly disturbed, on a past that was flat."""
    line = [300 + 3.4 * step for step in range(1, 9)]
    assert isinstance(judged([*past(count=12), *line], hours=2), Rise)
    bent = [300 + 2.5 * step + 0.15 * step * step for step in range(1, 9)]
    rising = [300 - 1.2 * (12 - number) for number in range(12)]
    disturbed = [low + 2 * (-1) ** number for number, low in enumerate(line)]
    for name, lows, hours in (
        ("half a day", [*past(count=16), *line], 1.5),
        ("bends", [*past(count=12), *bent], 2),
        ("is not new", [*rising, *line], 2),
        ("disturbed", [*past(count=12), *disturbed], 2),
        ("a little lower", [*past(count=12), *[300 + 2.5 * step for step in range(1, 9)]], 2),
    ):
        judgement = judged(lows, hours=hours)
        assert isinstance(judgement, NotYet), name
        assert judgement.why == "it has not grown by much", name


def days(*levels: float, swing: float = 0.0):
    """Days of eight floors of three hours: each day's level, and what the load adds by the hour."""
    shape = [0, 0.1, 0.4, 0.8, 1.0, 0.9, 0.5, 0.1]
    return [level + swing * load for level in levels for load in shape]


def leaking(per_day: float, swing: float):
    """Two days of load, and two more in which it leaks."""
    flat = days(300, 300, 300, swing=swing)
    return [low + max(0, number - 15) * per_day / 8 for number, low in enumerate(flat)]


def test_against_the_same_hours_of_the_day_before() -> None:
    """Load comes back each day; what is above it by more each hour is a leak."""
    rise = judged(leaking(100, swing=100), hours=3)
    assert isinstance(rise, Rise)
    assert rise.view == "day"
    assert rise.grew == pytest.approx(100 * 7 / 8 * MIB)


LATE = [0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
"""A load that is highest when the day ends."""


def late(swing: float, *above: float):
    """Three days of that, the last of them so much above the others."""
    return [300 + swing * load for _ in range(2) for load in LATE] + [
        300 + swing * load + more for load, more in zip(LATE, above, strict=True)
    ]


DAILY = {
    "once as high": [*[300] * 3, 420, *[300] * 12, *[300 + 12.5 * step for step in range(8)]],
    "by less than half of the swing": late(200, *[12.5 * step for step in range(8)]),
    "not steadily": late(200, 0, 0, 60, 10, 70, 30, 78, 120),
    "more slowly": late(0, 5, 25, 44, 62, 77, 90, 102, 113),
    "the same each day": days(300, 300, 300, swing=100),
    "a higher day": days(300, 300, 380, swing=100),
    "by little": leaking(25, swing=60),
    "under the swing": leaking(90, swing=220),
    "levels off": [
        low + gain
        for low, gain in zip(
            days(300, 300, 300, swing=80), [0.0] * 16 + [0, 40, 75, 95, 105, 110, 113, 115], strict=True
        )
    ],
}


@pytest.mark.parametrize("name", DAILY)
def test_load_is_no_leak(name: str) -> None:
    """A day like another, a busier one, one that rises by less than the load does."""
    assert isinstance(judged(DAILY[name], hours=3), NotYet)


def test_more_than_half_of_the_swing_is_a_leak() -> None:
    """As steadily as a leak is, and still at it when the day ends."""
    rise = judged(late(200, *[16.0 * step for step in range(8)]), hours=3)
    assert isinstance(rise, Rise)


def test_without_a_past_a_day_that_rises_by_itself() -> None:
    """From the first day of life; not for less than a day, nor for what becomes slower."""
    line = [300 + 12 * step for step in range(8)]
    rise = judged(line, hours=3)
    assert isinstance(rise, Rise)
    assert (rise.view, rise.level) == ("birth", 300 * MIB)
    assert judged(line, hours=1).why == "there is no {day} before it to compare with"
    assert judged([300 + 3 * step for step in range(8)], hours=3).why == "it has not grown by much"
    assert judged([300 + 90 * math.sqrt(step) for step in range(8)], hours=3).why == "it levels off"
    slower = judged([300 + 200 * math.log(block) for block in range(1, 16)], hours=3)
    assert slower.why == "it grows more slowly the older it gets"
    walk = judged([300, 320, 310, 345, 330, 390, 372, 384], hours=3)
    assert walk.why == "it does not grow steadily"


@pytest.mark.parametrize(
    ("floors", "least", "most"),
    [
        (LINE, 1000, 1000),
        ([0, 0, 0, 0, 100, 100, 100, 100], 0.99, 1.01),
        ([0, 0, 40, 40, 40, 80, 80, 100], 1.5, 2.5),
        ([10, 0, 20, 10, 30, 20, 40, 30], 0.4, 0.6),
        ([8, 7, 6, 5, 4, 3, 2, 1], 0, 0),
        ([5] * 8, 0, 0),
    ],
    ids=["a line", "a step", "three steps", "to and fro", "down", "flat"],
)
def test_steadiness(floors, least, most) -> None:
    """Large for a line, 1 for a single step, nothing for what does not grow."""
    assert least <= steadiness(floors) <= most


def test_what_is_measured_now_and_then_rises_between():
    """A heap that is collected each ten minutes has each value twice; a line through it is as steady as a line."""
    twice = [174.0, 174.0, 183.0, 183.0, 191.0, 191.0, 200.0, 200.0]
    assert steadiness(twice) < 2.4 < steadiness(_measured(twice))
    assert _measured(twice)[:7] == [174.0, 178.5, 183.0, 187.0, 191.0, 195.5, 200.0]
    assert _measured([5.0] * 8) == [5.0] * 8
