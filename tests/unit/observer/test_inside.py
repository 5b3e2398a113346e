"""What the live words of a probe say of a loop."""

import math

import pytest

from vitalsd.sources.observer.events import Look
from vitalsd.sources.observer.inside import Inside, late_since


@pytest.mark.parametrize(
    ("since", "due", "late"),
    [
        (90.0, 0.0, 90.0),
        (90.0, 95.0, 90.0),
        (-90.0, math.inf, None),
        (-90.0, 99.99, None),
        (-90.0, 99.0, 99.0),
        (-90.0, 0.0, None),
        (0.0, 99.0, None),
        (101.0, 0.0, None),
        (math.nan, 0.0, None),
        (math.inf, 0.0, None),
        (-90.0, math.nan, None),
    ],
)
def test_late_since(since, due, late):
    """Busy since `since` while that is positive, late since `due` once that has passed; damage is no lateness."""
    assert late_since(since, due, 100.0) == late


def test_stretch():
    """It is noted when 30 ms old, keeps its word as its name, and ends between two looks."""
    loop = Inside(0.1)
    assert (loop.turn(10.02, 10.0, 10.02), loop.current) == (None, None)
    assert loop.turn(10.06, 10.0, 10.06) is None
    assert loop.bursting(10.06)
    loop.current.add(Look(10.06, "sleep", "S"), 10.06)
    loop.turn(10.2, 10.0, 10.2)
    loop.current.add(Look(10.2, "sleep", "S"), 10.2)
    ended = loop.turn(10.206, None, 10.206)
    assert (ended.since, ended.seconds) == (10.0, pytest.approx(0.203))
    assert loop.current is None


def test_next_stretch_begins_at_once():
    """One that begins before the next look ends the one before, at its own beginning at the latest."""
    loop = Inside(0.1)
    loop.turn(10.5, 10.0, 10.5)
    ended = loop.turn(10.6, 10.51, 10.6)
    assert ended.seconds == pytest.approx(0.505)
    assert loop.current.since == 10.51


def test_short_stretch_is_not_told():
    """Below the threshold nobody is told."""
    loop = Inside(0.1)
    loop.turn(10.06, 10.0, 10.06)
    assert loop.turn(10.07, None, 10.07) is None


def test_burst_is_bounded():
    """After two seconds looks are rarer, in the same stretch."""
    loop = Inside(0.1)
    loop.turn(10.06, 10.0, 10.06)
    assert loop.bursting(12.0)
    assert not loop.bursting(12.1)


def test_died():
    """A process that dies in a stall has had it; a thread that goes alone leaves a word that means nothing."""
    for died in (True, False):
        loop = Inside(0.1)
        loop.turn(10.5, 10.0, 10.5)
        loop.current.add(Look(10.5, "sleep", "S"), 10.5)
        ended = loop.lost(died)
        assert (ended is not None) == died
        loop.turn(11.0, 10.0, 11.0)
        assert loop.current is None
    assert loop.lost(died=True) is None


def test_copy_on_a_disk():
    """Of a copy nothing is known beyond the time that it was made at."""
    loop = Inside(0.1)
    loop.turn(12.0, 10.0, 10.25)
    loop.current.add(Look(12.0, "sleep", "S"), 10.25)
    assert loop.current.seconds == pytest.approx(0.25)
