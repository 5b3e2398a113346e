"""
The record: the lowest and the highest of what was read of one process within one span of time. Pure.

What judges growth needs memory by the minute. The rest is there to say why it grows, and is kept by five minutes:
it is noisier, and would take three quarters of the space. Everything is whole bytes and counts, so a record is a
few integers, and what is kept is exactly what was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

__all__ = [
    "GRAINS",
    "HOUR_SECONDS",
    "LAST",
    "SPAN",
    "START",
    "UNKNOWN",
    "VALUES",
    "Grain",
    "Place",
    "Row",
    "merge",
]

HOUR_SECONDS = 3600
"""What lies together on disk. Every grain divides it."""
SPAN, START, LAST, VALUES = range(4)
"""
Where in a record: the number of its span since 1970, when the process began in milliseconds since then, the second
of the span in which it was read last; from VALUES on the lowest and the highest of each metric in turn.
"""
UNKNOWN = -1
"""In place of a value that was not known."""

Place = tuple[str, str]
"""Target and slot."""
Row = tuple[int, ...]


class Grain(msgspec.Struct, frozen=True):
    """How finely some metrics are kept."""

    seconds: int
    metrics: tuple[str, ...]
    """Further ones go to the end: what is on disk by then has none of them."""

    @property
    def width(self) -> int:
        """How many integers a record is."""
        return VALUES + 2 * len(self.metrics)


GRAINS = (
    Grain(60, ("rss_anon", "swap", "limit")),
    Grain(300, ("heap_live", "heap_used", "blocks", "fds", "threads", "tasks", "left")),
)
"""Together in the order in which a `Point` has them."""


def merge(here: Iterable[Row], more: Iterable[Sequence[int]]) -> list[Row]:
    """
    Both, oldest first, with one record for what is of the same span and process.

    So a span may be told in parts, and again: an agent writes it while it lasts, and the next goes on with it.
    """
    known = {(row[SPAN], row[START]): row for row in here}
    for record in more:
        key = record[SPAN], record[START]
        before = known.get(key)
        known[key] = tuple(record) if before is None else _widened(before, record)
    return [known[key] for key in sorted(known)]


def _widened(one: Row, other: Sequence[int]) -> Row:
    both = [one[SPAN], one[START], max(one[LAST], other[LAST])]
    for index in range(VALUES, len(one), 2):
        lows = [low for low in (one[index], other[index]) if low != UNKNOWN]
        both += [min(lows, default=UNKNOWN), max(one[index + 1], other[index + 1])]
    return tuple(both)
