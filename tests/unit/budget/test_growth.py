"""What counts as growth within a run, and what is said to be unknown."""

from __future__ import annotations

from vitalsd.budget.growth import LIVE, MOST_POINTS, USED, HeapPoint, HeapSeries, measured
from vitalsd.budget.model import Growth, NotMeasured

MIB = 2**20


def used(*sizes: float) -> list[HeapPoint]:
    """One reading a second, in MiB."""
    return [HeapPoint(float(second), round(size * MIB), None) for second, size in enumerate(sizes)]


def test_a_steady_rise() -> None:
    """A megabyte a second, from the fifth second to the eighteenth of twenty-one."""
    assert measured(used(*range(21)), "python", 20.0) == Growth(USED, 5 * MIB, 17 * MIB, 5.0, 17.0)


def test_the_start_is_no_growth() -> None:
    """What is loaded in the first quarter stays, and counts for nothing."""
    growth = measured(used(1, 20, 40, 60, *[80] * 17), "python", 20.0)
    assert isinstance(growth, Growth)
    assert growth.grown_bytes == 0


def test_garbage_is_no_growth() -> None:
    """A saw's floor stays where it is."""
    growth = measured(used(*[10 + second % 3 * 30 for second in range(41)]), "python", 40.0)
    assert isinstance(growth, Growth)
    assert growth.grown_bytes == 0


def test_the_live_heap_goes_before() -> None:
    """Where full collections have told it early and late."""
    points = [*used(*range(100, 121)), HeapPoint(6.0, None, 7 * MIB), HeapPoint(19.0, None, 9 * MIB)]
    assert measured(points, "python", 20.0) == Growth(LIVE, 7 * MIB, 9 * MIB, 6.0, 19.0)


def test_the_garbage_of_a_node_is_not_taken_for_growth() -> None:
    """Without full collections nothing is said of V8's heap."""
    growth = measured(used(*range(21)), "node", 20.0)
    assert isinstance(growth, NotMeasured)
    assert "V8 made no full collection" in growth.reason


def test_a_short_life() -> None:
    """Is all start."""
    growth = measured(used(*range(9)), "python", 9.0)
    assert isinstance(growth, NotMeasured)
    assert growth.reason == "it lived for 9.0 s, and growth shows after 10 s at the earliest"


def test_nobody_has_read_the_heap() -> None:
    """Such as where the allocator tells nothing."""
    assert isinstance(measured([], "python", 20.0), NotMeasured)


def test_the_same_reading_is_told_once() -> None:
    """A probe tells what it has read until it reads again, and a live heap is news only when it changes."""
    series = HeapSeries()
    for age in (1.0, 1.1, 1.2, 1.5):
        series.add(age, 5, 3)
    series.add(1.6, 6, 3)
    assert series.points == [HeapPoint(1.0, 5, 3), HeapPoint(1.5, 5, None), HeapPoint(1.6, 6, None)]


def test_room_is_bounded_and_floors_stay() -> None:
    """Of a long run the lower of each two is kept."""
    series = HeapSeries()
    for second in range(5 * MOST_POINTS):
        series.add(float(second), 100 + second % 2, None)
    assert len(series.points) <= MOST_POINTS
    assert {point.used_bytes for point in series.points[: MOST_POINTS // 2]} == {100}
