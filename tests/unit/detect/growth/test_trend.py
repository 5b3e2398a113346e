"""Where memory is going: when growth began and how fast it is, and when memory is used up."""

from __future__ import annotations

import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.detect.growth.lives import DAY, MIB

from vitalsd.detect.growth.floors import Floors
from vitalsd.detect.growth.trend import STEEPEST, Peaks, line, onset

BASE = 300.0


@pytest.mark.parametrize("bend", range(4, 20))
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_onset_of_a_hinge(bend: int, noise: float) -> None:
    """Level, then two more in each block: when that began to within a block or two, and how fast to a tenth."""
    dice, floors = random.Random(bend), Floors(BASE, {1: 100})
    for number in range(25):
        floors.add(number * BASE, 300 + 2.0 * max(0, number - bend) + dice.gauss(0, noise))
    began_at, per_second = onset(floors, 8 * BASE)
    blocks_off = 0.6 if noise == 0 else 1.6
    assert began_at == pytest.approx((bend + 0.5) * BASE, abs=blocks_off * BASE)
    assert per_second == pytest.approx(2.0 / BASE, rel=0.01 if noise == 0 else 0.15)


def test_onset_is_never_before_the_process() -> None:
    """Its predecessor's floors were other floors; what the new process begins with is no growth."""
    floors = Floors(BASE, {1: 100})
    for number in range(26):
        if number == 12:
            floors.reborn(number * BASE)
        floors.add(number * BASE, 200.0 if number < 12 else 300 + 2.0 * max(0, number - 15))
    began_at, per_second = onset(floors, 8 * BASE)
    assert began_at == pytest.approx(15.5 * BASE, abs=0.6 * BASE)
    assert per_second == pytest.approx(2.0 / BASE, rel=0.01)


def test_onset_of_the_length_that_told_of_it() -> None:
    """The pace is per second, whatever the length of the blocks."""
    floors = Floors(BASE, {1: 100, 6: 100})
    for number in range(200):
        floors.add(number * BASE, 300 + max(0.0, number - 120))
    began_at, per_second = onset(floors, 48 * BASE)
    assert began_at == pytest.approx(120 * BASE, abs=4 * BASE)
    assert per_second == pytest.approx(1.0 / BASE, rel=0.02)


def test_line_of_least_squares() -> None:
    """Its slope, and how much of the variance it explains."""
    assert line(array("d", [1, 3, 5, 7])) == (2.0, 1.0)
    assert line(array("d", [4, 4, 4])) == (0.0, 0.0)
    assert line(array("d", [5])) == (0.0, 0.0)
    slope, fit = line(array("d", [0, 10, 0, 10, 0, 10]))
    assert (slope, fit) == (pytest.approx(0.857, abs=0.001), pytest.approx(0.0857, abs=0.0001))


@given(st.lists(st.floats(0, 2.0**62), min_size=12, max_size=72))
def test_no_line_is_steeper_than_a_step(values) -> None:
    """So most of what cannot meet the limit is told by its highest and lowest value alone."""
    slope, _ = line(array("d", values))
    assert slope * len(values) <= STEEPEST * (max(values) - min(values)) * (1 + 1e-9)


def test_a_step_is_as_steep_as_that() -> None:
    """No smaller bound would do."""
    slope, _ = line(array("d", [0.0] * 36 + [1.0] * 36))
    assert slope * 72 == pytest.approx(1.5, rel=0.01)
    assert STEEPEST >= 1.5


def fed(values, limit=1000.0, every=BASE):
    """Peaks after one reading in each block, in MiB, and when memory was first seen to run out."""
    peaks, first = Peaks(DAY), None
    for number, value in enumerate(values):
        at = number * every + 1
        peaks.add(at, value * MIB, None if limit is None else limit * MIB)
        if peaks.exhaustion is not None and first is None:
            first = at
    return peaks, first


def growing(per_hour, hours, start=300.0):
    """So much more each hour, in blocks of five minutes."""
    return [start + per_hour * number / 12 for number in range(round(hours * 12))]


@pytest.mark.parametrize(("per_hour", "hours"), [(40, 8), (100, 5), (30, 12)])
def test_when_the_limit_is_met(per_hour: float, hours: float) -> None:
    """A line is followed to the limit: pace and time are those of the line."""
    values = growing(per_hour, hours)
    peaks, first = fed(values)
    assert first is not None
    found = peaks.exhaustion
    assert found is not None
    assert found.bytes_per_second * 3600 == pytest.approx(per_hour * MIB, rel=0.01)
    assert found.seconds_left == pytest.approx((1000 - values[-2]) / per_hour * 3600, rel=0.01)
    assert found.since == first - 1800


def test_six_hours_look_a_day_ahead_and_one_hour_four() -> None:
    """What is slow needs the long line, what is fast is told by the short one; both half an hour later."""
    _, slow = fed(growing(30, 8))
    assert slow == 72 * BASE + 1 + 1800
    _, fast = fed(growing(170, 4))
    assert fast == 12 * BASE + 1 + 1800
    peaks, never = fed(growing(20, 8))
    assert (never, peaks.exhaustion) == (None, None)


NOT = {
    "flat": [900.0] * 100,
    "shrinks": list(reversed(growing(40, 8))),
    "flattens": [*growing(80, 5), *[700.0] * 40],
    "a single spike": [*[300.0] * 90, 990.0, *[300.0] * 8],
    "to and fro": [300 + 300 * (number % 2) + 3 * number for number in range(100)],
    "no half hour": growing(170, 1.4),
}


@pytest.mark.parametrize("name", NOT)
def test_what_does_not_run_out(name: str) -> None:
    """At the end of each, nothing is foreseen."""
    assert fed(NOT[name])[0].exhaustion is None


def test_without_a_limit_nothing_runs_out() -> None:
    """And with more room, it does so later."""
    assert fed(growing(170, 4), limit=None)[1] is None
    assert fed(growing(170, 4), limit=5000)[1] is None


def test_the_pace_at_the_end_counts() -> None:
    """What becomes faster meets its limit sooner than its whole line would say."""
    peaks, _ = fed([*growing(20, 4), *growing(120, 3, start=380)])
    assert peaks.exhaustion is not None
    assert peaks.exhaustion.window_seconds == 72 * BASE
    assert peaks.exhaustion.bytes_per_second * 3600 == pytest.approx(120 * MIB, rel=0.05)


def test_a_peak_is_what_is_compared_with_the_limit() -> None:
    """The highest of half an hour, that of the block which is not over included."""
    peaks, _ = fed([300, 350, 300, 300, 300, 300, 320])
    assert peaks.latest() == 350 * MIB
    peaks.add(7 * BASE + 1, 300 * MIB, None)
    peaks.add(8 * BASE + 1, 300 * MIB, None)
    assert peaks.latest() == 320 * MIB
    peaks.add(8 * BASE + 2, 400 * MIB, None)
    assert peaks.latest() == 400 * MIB
    assert Peaks(DAY).latest() is None


def test_within_a_block_the_highest_counts() -> None:
    """Not the first, not the last."""
    peaks = Peaks(DAY)
    for at, value in ((0, 1.0), (10, 5.0), (20, 2.0), (300, 3.0)):
        peaks.add(at, value, None)
    assert list(peaks._highs) == [5.0]


@pytest.mark.parametrize(("missing", "kept"), [(0, 21), (1, 21), (2, 0)])
def test_a_line_has_no_hole(missing: int, kept: int) -> None:
    """One block may be missing, two end the line."""
    peaks, _ = fed(growing(100, 21 / 12))
    peaks.add((21 + missing) * BASE, 500 * MIB, None)
    assert len(peaks._highs) == kept


def test_another_process_begins_another_line() -> None:
    """Nothing of its predecessor is left."""
    peaks, _ = fed(growing(170, 4))
    assert peaks.exhaustion is not None
    peaks.reborn()
    assert (peaks.exhaustion, peaks.latest(), peaks.slope()) == (None, None, None)


def test_slope_is_known_after_half_an_hour() -> None:
    """Bytes per second, with or without a limit."""
    assert fed(growing(60, 0.5))[0].slope() is None
    assert fed(growing(60, 0.6), limit=None)[0].slope() == pytest.approx(60 * MIB / 3600)


def test_any_size_can_be_told() -> None:
    """What a damaged segment says is no reason to fail."""
    peaks, _ = fed([1e300 / MIB, 0.0] * 60)
    assert peaks.slope() is not None
