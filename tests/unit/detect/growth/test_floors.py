"""The floors of a series: the minimum of each block, whatever the readings."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.detect.growth.floors import WINDOW_BLOCKS, Blocks, Floors

BASE = 100.0
KEEP = {1: 40, 2: 20, 6: 12}
STEPS = st.one_of(st.floats(0.0, 250.0), st.floats(-400.0, 0.0), st.floats(250.0, 9_000.0))
"""Readings close to each other, a clock that was set back, and an agent that was away."""
READINGS = st.lists(st.tuples(STEPS, st.floats(0.0, 2.0**40, width=32)), min_size=1, max_size=120)


def fed(readings, keep=None):
    """Floors after these readings; where one was taken in, (time, value)."""
    floors, taken, newest = Floors(BASE, keep or KEEP), [], -math.inf
    at = 1_000_000.0
    for step, value in readings:
        at = max(0.0, at + step)
        floors.add(at, value)
        if at // BASE >= newest:  # what is known of earlier blocks is known
            newest = at // BASE
            taken.append((at, value))
    return floors, taken


def known(blocks: Blocks) -> dict[int, float | None]:
    """Number of the block -> its floor."""
    return {blocks.first + index: None if low != low else low for index, low in enumerate(blocks.lows)}


@given(READINGS)
def test_each_complete_block_is_the_minimum_of_its_readings(readings) -> None:
    """Of every length, and nothing where there was no reading; none is lost before its time."""
    floors, taken = fed(readings)
    for blocks in floors.blocks:
        lowest: dict[int, float] = {}
        for at, value in taken:
            number = int(at // blocks.length)
            lowest[number] = min(value, lowest.get(number, math.inf))
        told = known(blocks)
        assert all(lowest.get(number) == low for number, low in told.items())
        newest = max(lowest)
        if len(lowest) > 1:
            assert blocks.ends_at == newest * blocks.length
        since = min(lowest)
        for before, later in pairwise(sorted(lowest)):
            if later - before > blocks._keep:
                since = later
        assert set(range(max(since, newest - blocks._keep), newest)) <= told.keys()


@given(READINGS)
def test_what_is_kept_is_bounded(readings) -> None:
    """However long somebody was away, and whatever the clock does."""
    floors, _ = fed(readings)
    assert all(len(blocks.lows) <= blocks._keep + 2 * WINDOW_BLOCKS for blocks in floors.blocks)


def test_years_are_kept_in_the_same_room() -> None:
    """The oldest go, the newest stay."""
    floors = Floors(BASE, KEEP)
    for number in range(5_000):
        floors.add(number * BASE, number)
    for blocks in floors.blocks:
        assert blocks._keep <= len(blocks.lows) <= blocks._keep + 2 * WINDOW_BLOCKS
        assert blocks.lows[-1] == (4_999 // (blocks.length // BASE) - 1) * blocks.length // BASE
        assert blocks.first + len(blocks.lows) == 4_999 * BASE // blocks.length


def test_a_block_is_complete_with_the_first_reading_after_it() -> None:
    """The lengths that a reading completes are told, each once."""
    floors = Floors(BASE, {1: 40, 2: 20})
    told = [[blocks.length for blocks in floors.add(at, 5.0)] for at in (0, 50, 100, 150, 199, 200, 300, 390, 400)]
    assert told == [[], [], [100.0], [], [], [100.0, 200.0], [100.0], [], [100.0, 200.0]]


def test_a_gap_is_missing_and_not_nothing() -> None:
    """Blocks that nobody was there to read."""
    floors = Floors(BASE, {1: 40})
    for at in (0, 100, 500, 600):
        floors.add(at, 7.0)
    assert known(floors.blocks[0]) == {0: 7.0, 1: 7.0, 2: None, 3: None, 4: None, 5: 7.0}


def test_after_a_gap_beyond_memory_everything_begins_anew() -> None:
    """What was before is no past that says anything."""
    floors = Floors(BASE, {1: 40})
    for number in (0, 1, 2, 60, 61, 62):
        floors.add(number * BASE, number)
    assert known(floors.blocks[0]) == {60: 60.0, 61: 61.0}


def test_any_number_has_room() -> None:
    """Four bytes hold it, and the difference of two of them is a number."""
    floors = Floors(BASE, {1: 40})
    for at, value in ((0, 1e300), (100, 5e-324), (200, 2.0**63), (300, math.nan), (400, 0.0)):
        floors.add(at, value)
    assert known(floors.blocks[0]) == {0: 2.0**100, 1: 0.0, 2: 2.0**63, 3: None}


def test_a_clock_that_was_set_back_changes_nothing_that_is_known() -> None:
    """Readings of a time that is over already are left out; within the block they count."""
    floors = Floors(BASE, {1: 40})
    for at, value in ((0, 9.0), (100, 8.0), (250, 7.0), (30, 1.0), (210, 6.0), (110, 2.0), (300, 5.0)):
        floors.add(at, value)
    assert known(floors.blocks[0]) == {0: 9.0, 1: 8.0, 2: 6.0}


@pytest.mark.parametrize(("born", "own"), [(0.0, 10), (1.0, 9), (100.0, 9), (550.0, 4), (999.0, 0), (5_000.0, 0)])
def test_a_lifetime_has_the_blocks_that_lie_wholly_in_it(born: float, own: int) -> None:
    """The block in which a process has begun is partly its predecessor's."""
    floors = Floors(BASE, {1: 40})
    floors.reborn(born)
    for number in range(11):
        floors.add(number * BASE, 1.0)
    assert floors.blocks[0].own_count() == own


def test_a_lifetime_of_longer_blocks_begins_on_their_grid() -> None:
    """At 250 s: the block of 200 s that begins at 400, the one of 600 that begins at 600."""
    floors = Floors(BASE, {2: 20, 6: 12})
    for number in range(13):
        if number == 3:
            floors.reborn(250.0)
        floors.add(number * BASE, 1.0)
    assert [blocks.own_count() for blocks in floors.blocks] == [4, 1]


def window(*lows: float | None, back: int = 0) -> list[float] | None:
    """The window of such blocks."""
    blocks = Blocks(BASE, 1, 40)
    blocks.lows.extend(math.nan if low is None else low for low in lows)
    return blocks.window(back)


def test_a_window_is_the_latest_eight() -> None:
    """Or eight before those; None where there are not so many."""
    lows = [float(low) for low in range(12)]
    assert window(*lows) == lows[4:]
    assert window(*lows, back=4) == lows[:8]
    assert window(*lows, back=5) is None
    assert window(*lows[:7]) is None


@pytest.mark.parametrize(
    ("lows", "seen"),
    [
        ([1, 2, None, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8]),
        ([1, None, None, 4, 5, 6, 7, 8], [1, 2.5, 3.25, 4, 5, 6, 7, 8]),
        ([1, None, 3, 4, 5, 6, None, 8], [1, 2, 3, 4, 5, 6, 7, 8]),
        ([1, None, None, None, 5, 6, 7, 8], None),
        ([None, 2, 3, 4, 5, 6, 7, 8], None),
        ([1, 2, 3, 4, 5, 6, 7, None], None),
    ],
    ids=["one", "two in a row", "two apart", "three", "the first", "the last"],
)
def test_little_that_is_missing_lies_between_its_neighbours(lows, seen) -> None:
    """More, or an end, and there is no window."""
    assert window(*lows) == seen


def test_the_past_is_what_was_before_the_window() -> None:
    """Without what is missing."""
    blocks = Blocks(BASE, 1, 40)
    blocks.lows.extend([1.0, math.nan, 3.0, *[9.0] * 8])
    assert list(blocks.past()) == [1.0, 3.0]
    del blocks.lows[:-5]
    assert list(blocks.past()) == []
