"""
The memory of one worker, span by span, as a chart wants it: what lies in the file, and what is not there yet.

A day of one worker is 24 rows, each found by its number and unpacked in the thread of the disk, 0.3 ms a row. Pure
but for the question to the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from vitalsd.history.database import Rows
from vitalsd.history.packing import DamagedRowError, unpack
from vitalsd.history.records import GRAINS, HOUR_SECONDS, LAST, SPAN, START, UNKNOWN, VALUES, Place, Row, merge

__all__ = ["MemoryPast", "MemorySpan", "hour_of", "memory_rows", "memory_spans"]

MINUTES = GRAINS[0]
ANONYMOUS, SWAP, LIMIT = (VALUES + 2 * MINUTES.metrics.index(name) for name in ("rss_anon", "swap", "limit"))
NO_LIMIT = 2**60
"""From here on it is how somebody writes that there is none."""
MOST = 400
"""More than a chart has room for."""


class MemorySpan(msgspec.Struct, frozen=True):
    """What one process had for itself within a minute, or within several where a chart has no room for each."""

    at: float
    """Unix time at which it was read last within the span."""
    started_at: float
    """Unix time at which the process began: another one is another lifetime."""
    memory_low_bytes: int | None
    """Anonymous memory and swap, the least of both."""
    memory_high_bytes: int | None
    limit_bytes: int | None
    """None where there was none, or it was not known."""


class MemoryPast(msgspec.Struct, frozen=True):
    """That of one worker, oldest first."""

    spans: tuple[MemorySpan, ...]
    problem: str | None = None
    """Why there may be more than is told."""


def memory_rows(rows: Rows, place: Place, since_hour: int, until_hour: int) -> list[Row]:
    """What the file has of a worker in these hours; what cannot be read of it is left out."""
    found: list[Row] = []
    for each in rows.of_one(place, since_hour, until_hour):
        try:
            columns = unpack(each.hour, each.records)[0]
        except DamagedRowError:
            continue  # told by whoever reads all of it
        found += zip(*columns, strict=True)
    return found


def memory_spans(stored: Iterable[Row], fresh: Iterable[Sequence[int]], since: float) -> tuple[MemorySpan, ...]:
    """Both together, from unix time `since` on, in no more spans than a chart has room for."""
    known = [row for row in merge(stored, fresh) if row[SPAN] * MINUTES.seconds + row[LAST] >= since]
    together = -(-len(known) // MOST) or 1
    return tuple(_span(piece) for piece in _pieces(known, together))


def hour_of(at: float) -> int:
    """The hour since 1970 in which it is."""
    return int(at // HOUR_SECONDS)


def _pieces(rows: list[Row], most: int) -> Iterator[list[Row]]:
    """So many at a time, and those of two processes apart."""
    piece: list[Row] = []
    for row in rows:
        if piece and (len(piece) >= most or piece[0][START] != row[START]):
            yield piece
            piece = []
        piece.append(row)
    if piece:
        yield piece


def _span(rows: list[Row]) -> MemorySpan:
    last = rows[-1]
    lows = [row[ANONYMOUS] + max(0, row[SWAP]) for row in rows if row[ANONYMOUS] != UNKNOWN]
    highs = [row[ANONYMOUS + 1] + max(0, row[SWAP + 1]) for row in rows if row[ANONYMOUS + 1] != UNKNOWN]
    limit = last[LIMIT]
    return MemorySpan(
        at=float(last[SPAN] * MINUTES.seconds + last[LAST]),
        started_at=last[START] / 1000,
        memory_low_bytes=min(lows, default=None),
        memory_high_bytes=max(highs, default=None),
        limit_bytes=limit if 0 < limit < NO_LIMIT else None,
    )
