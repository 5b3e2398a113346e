"""
What lies in the file as points again, oldest first: what an agent that starts goes on with, and what is exported.

A record becomes two points, its lowest and its highest, or one where both are the same. They stand at the second
in which the process was read last within the span, the highest half a second after the lowest, so none of them
tells anything before it was known. What is kept by five minutes stands beside the last minute of these. 1.5 us a
point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vitalsd.history.database import Hour, Rows
from vitalsd.history.packing import DamagedRowError, unpack
from vitalsd.history.points import Point
from vitalsd.history.records import GRAINS, HOUR_SECONDS, LAST, SPAN, START, UNKNOWN, VALUES, Grain, Place

__all__ = ["points_of", "replay"]

AFTER_SECONDS = 0.5
"""From the lowest to the highest."""
Known = dict[tuple[int, int], tuple[tuple[int | None, ...], tuple[int | None, ...]]]
"""Second and start of the process -> the lowest and the highest."""
NOTHING: tuple[tuple[None, ...], ...] = tuple((None,) * len(grain.metrics) for grain in GRAINS)


def replay(
    rows: Rows,
    damaged: Callable[[str], None],
    since: float = 0.0,
    wanted: Callable[[Place], bool] = lambda _: True,
) -> Iterator[list[Point]]:
    """The points of one hour of one worker after the other; a row that cannot be read is told to `damaged`."""
    hour = rows.first(int(since // HOUR_SECONDS))
    while hour is not None:
        for each in rows.of(hour):
            if wanted(each.place):
                yield points_of(each, damaged, since)
        hour = rows.first(hour + 1)


def points_of(hour: Hour, damaged: Callable[[str], None], since: float = 0.0) -> list[Point]:
    """The points of one row, oldest first."""
    target, slot = hour.place
    try:
        sections = unpack(hour.hour, hour.records)
    except DamagedRowError as error:
        damaged(f"{target}/{slot}, hour {hour.hour}: {error}")
        return []
    minutes, fives = map(_known, GRAINS, sections)
    no_minute, no_five = NOTHING
    points = []
    for key in minutes if minutes.keys() >= fives.keys() else sorted(minutes.keys() | fives.keys()):
        second, start = key
        if second < since:
            continue
        low, high = minutes.get(key, (no_minute, no_minute))
        low_beside, high_beside = fives.get(key, (no_five, no_five))
        began = start / 1000
        points.append(Point(second, target, slot, began, *low, *low_beside))
        if high != low or high_beside != low_beside:
            points.append(Point(second + AFTER_SECONDS, target, slot, began, *high, *high_beside))
    return points


def _known(grain: Grain, columns: list[list[int]]) -> Known:
    seconds = [span * grain.seconds + last for span, last in zip(columns[SPAN], columns[LAST], strict=True)]
    values = [_values(column) for column in columns[VALUES:]]
    both = zip(zip(*values[::2], strict=True), zip(*values[1::2], strict=True), strict=True)
    return dict(zip(zip(seconds, columns[START], strict=True), both, strict=True))


def _values(column: list[int]) -> list[int | None]:
    """With None for what was not known."""
    return [None if value == UNKNOWN else value for value in column] if UNKNOWN in column else list(column)
