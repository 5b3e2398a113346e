"""What is known of a quantile: between which bounds it lies, after what is not to count was taken out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.runs import delays

from vitalsd.budget.delay import Stretches, less, quantile_bounds, share_over, without
from vitalsd.model import Histogram


def test_a_second_in_ten() -> None:
    """One block of 1 s in 10 s has its 99th percentile at 0.90 s: between half a second and one."""
    assert quantile_bounds(delays(1.0), 0.99) == (0.5, 1.0)


def test_nothing_was_late() -> None:
    """Then it is the first bound."""
    assert quantile_bounds(delays(), 0.99) == (0.0, 0.001)


def test_beyond_the_last_bound() -> None:
    """There is no upper one."""
    assert quantile_bounds(delays(40.0, seconds=50.0), 0.99) == (30.0, float("inf"))


def test_no_sample() -> None:
    """Nothing is known."""
    assert quantile_bounds(delays(seconds=0.0), 0.99) is None


def test_the_part_after_a_moment() -> None:
    """A histogram only grows: what was there before is taken off, and another process's is not."""
    before, after = delays(1.0), delays(1.0, 0.3, seconds=20.0)
    assert quantile_bounds(less(after, before), 0.99) == (0.1, 0.25)
    assert less(after, None) == after


@given(st.lists(st.floats(0.02, 5.0), max_size=8), st.lists(st.floats(0.02, 5.0), max_size=8))
def test_what_is_taken_out_was_never_there(kept: list[float], pardoned: list[float]) -> None:
    """To a sample for each bucket, which is what rounding may cost."""
    seconds = 100.0
    whole = delays(*kept, *pardoned, seconds=seconds)
    off = Stretches()
    for stretch in pardoned:
        off.add(stretch)
    left = without(whole, off)
    wanted = delays(*kept, seconds=seconds - sum(pardoned))
    for below, (found, expected) in enumerate(zip(left.buckets, wanted.buckets, strict=True), 1):
        assert found == pytest.approx(expected, abs=2 * below)
    assert list(left.buckets) == sorted(left.buckets)


def test_between_two_bounds_stalls_decide() -> None:
    """0.2 s of 10 s were later than 0.3 s by a stall of 0.5 s."""
    assert share_over(delays(0.5), [0.5, 0.2], 0.3) == pytest.approx(0.02, rel=0.01)
    assert share_over(delays(0.5), [0.5, 0.2], 0.3, 0.1) == pytest.approx(0.03, rel=0.01)


def test_a_stretch_may_stand_for_a_longer_one() -> None:
    """What the host had a loop wait was never there: 2 s of which 0.5 s are its own are 0.5 s."""
    off = Stretches()
    off.add(2.0)
    off.add(0.5, -1)
    left, wanted = without(delays(2.0, seconds=11.5), off), delays(0.5, seconds=10.0)
    assert quantile_bounds(left, 0.99) == quantile_bounds(wanted, 0.99)
    assert left.buckets == pytest.approx(wanted.buckets, abs=2)
    assert left.sum == pytest.approx(wanted.sum)


def test_nothing_is_left_of_what_is_taken_out() -> None:
    """Of a run of some samples, one that rounding has left behind would be a hundredth of what it had to do."""
    for stretch in (0.13, 0.7, 0.705, 0.71, 1.3):
        off = Stretches()
        off.add(stretch)
        assert quantile_bounds(without(delays(stretch, seconds=stretch + 0.1), off), 0.99) == (0.0, 0.001)


def test_a_histogram_of_other_bounds() -> None:
    """It is damage, and nothing can be taken off it."""
    odd = Histogram((1.0,), (1, 2), 1.0)
    assert without(odd, Stretches()) == odd
