"""
What is fed round by round, as the lowest and the highest of each minute, in memory until somebody takes it. Pure.

Holds what the disk has not got yet: some minutes of each worker, 2 KB, and where the disk does not take it, two
hours, 13 KB. Costs 4 us of processor time per worker and round.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from vitalsd.history.points import Point
from vitalsd.history.records import GRAINS, LAST, SPAN, START, UNKNOWN, VALUES, Grain, Place

__all__ = ["Batch", "Minutes"]

Batch = Mapping[Place, tuple["array[int]", ...]]
"""The records of each worker, grain by grain, one after the other."""

KEPT_SECONDS = 7200
MOST_LIVES = 4
"""Of a worker that begins again and again within a span: the first and the latest of its processes."""
MOST = 2**53
"""What is beyond it is no number of bytes, but damage."""


class _Lane:
    """One worker."""

    __slots__ = ("closed", "fed", "open", "seen")

    def __init__(self, grains: Sequence[Grain]) -> None:
        self.open: list[array[int] | None] = [None for _ in grains]
        self.seen: list[tuple[float | None, ...] | None] = [None for _ in grains]
        """What was read last: most of it stays as it was from round to round."""
        self.closed = [array("q") for _ in grains]
        self.fed = False


class Minutes:
    """What is not on disk yet."""

    def __init__(self, grains: Sequence[Grain] = GRAINS) -> None:
        self._grains = tuple(grains)
        self._getters: list[Callable[[Point], Any]] = [attrgetter(*grain.metrics) for grain in grains]
        self._lanes: dict[Place, _Lane] = {}
        self.lost = 0
        """Records that nobody took in time."""

    def keep(self, point: Point) -> None:
        """Take in what was read of one worker."""
        place = point.target, point.worker
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = _Lane(self._grains)
        lane.fed = True
        start, second = round(point.start * 1000), int(point.t)
        for index, grain in enumerate(self._grains):
            span, last = divmod(second, grain.seconds)
            record = lane.open[index]
            if record is None or record[SPAN] != span or record[START] != start:
                self._close(lane, index)
                record = array("q", (span, start, last, *(UNKNOWN for _ in range(VALUES, grain.width))))
                lane.open[index], lane.seen[index] = record, None
            record[LAST] = last
            values = self._getters[index](point)
            if values != lane.seen[index]:
                lane.seen[index] = values
                _widen(record, values)

    def drain(self) -> Batch:
        """What is new since the last time; a span that is not over is told as far as it goes, and again later."""
        batch: dict[Place, tuple[array[int], ...]] = {}
        for place, lane in list(self._lanes.items()):
            if not lane.fed:  # gone, and told
                del self._lanes[place]
                continue
            batch[place] = tuple(
                closed + record if record is not None else closed
                for closed, record in zip(lane.closed, lane.open, strict=True)
            )
            lane.closed = [array("q") for _ in self._grains]
            lane.fed = False
        return batch

    def of(self, place: Place) -> list[array[int]]:
        """The records of one worker that nobody has taken yet, of the finest grain, oldest first."""
        lane = self._lanes.get(place)
        if lane is None:
            return []
        width, closed, record = self._grains[0].width, lane.closed[0], lane.open[0]
        told = [closed[at : at + width] for at in range(0, len(closed), width)]
        return [*told, record[:]] if record is not None else told

    def _close(self, lane: _Lane, index: int) -> None:
        """The span is over, or the process is another."""
        record, closed, grain = lane.open[index], lane.closed[index], self._grains[index]
        if record is None:
            return
        width = grain.width
        if len(closed) >= MOST_LIVES * width and closed[SPAN - MOST_LIVES * width] == record[SPAN]:
            del closed[-width:]
        closed.extend(record)
        if len(closed) > KEPT_SECONDS // grain.seconds * width:
            del closed[:width]
            self.lost += 1


def _widen(record: array[int], values: Sequence[float | None]) -> None:
    """Have the record hold these values too."""
    for index, value in enumerate(values):
        if value is None or not 0 <= value < MOST:
            continue
        low = VALUES + 2 * index
        whole = round(value)
        if record[low] == UNKNOWN:
            record[low] = record[low + 1] = whole
        elif whole < record[low]:
            record[low] = whole
        elif whole > record[low + 1]:
            record[low + 1] = whole
