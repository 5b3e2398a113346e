"""
The columns of the table of workers: what each says, by what it sorts, and which have room first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from vitalsd.cli.moments import short
from vitalsd.detect.growth.words import size
from vitalsd.top.bounds import (
    FULL,
    LATE_SECONDS,
    NEARLY_FULL,
    SOON_SECONDS,
    VERY_LATE_SECONDS,
    VERY_SOON_SECONDS,
)
from vitalsd.top.rows import SEVERITIES, Row, by_name, trouble
from vitalsd.top.trail import drawn, late_level

__all__ = ["COLUMNS", "TROUBLE", "Cell", "Column", "ordered", "shown"]

GAP = 1
POINTS, STEPS_PER_POINT = 9, 4
"""Of a line in the table: three minutes, a third of one each."""
NAME_LEAST, NAME_MOST, NAME_FIRST = 6, 40, 20
"""Of the name of a worker: it has as much as the longest needs, up to the last before others have their room."""
UNKNOWN = "-"
TROUBLE = "trouble"
"""The order in which what is worst comes first; it has no column."""


class Cell(NamedTuple):
    """What stands in one place of the table."""

    text: str
    tone: str = ""
    """`critical`, `warning`, `faint`, or nothing."""


class Column(NamedTuple):
    """One column."""

    name: str
    title: str
    width: int
    weight: int
    """Those with more of it have their room first."""
    cell: Callable[[Row, float], Cell]
    rank: Callable[[Row], object]
    """What it sorts by; None comes last whichever way."""
    first: str = "most"
    """Which end of it one wants to see first."""
    align: str = "right"


def _name(row: Row, _now: float) -> Cell:
    return Cell(row.name)


def _state(row: Row, _now: float) -> Cell:
    if row.state == "stalled":
        return Cell(f"stalled {_lasts(row.stalled_seconds or 0.0)}", "critical")
    return Cell(row.state, "critical" if row.state in ("down", "stopped") else "")


def _lasts(seconds: float) -> str:
    """In at most four characters."""
    if seconds < 100:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m" if seconds < 6000 else f"{seconds / 3600:.0f}h"


def _delay(row: Row, _now: float) -> Cell:
    if row.delay is None:
        return Cell(UNKNOWN, "faint")
    low, high = row.delay
    text = f">{low:g}s" if high is None else f"<={_brief(high)}"
    tone = "critical" if low >= VERY_LATE_SECONDS else "warning" if low >= LATE_SECONDS else ""
    return Cell(text, tone)


def _brief(seconds: float) -> str:
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


def _share(value: float | None) -> Cell:
    if value is None:
        return Cell(UNKNOWN, "faint")
    return Cell(f"{value:.0%}")


def _size(amount: int) -> str:
    return size(amount).replace(" ", "")


def _memory(row: Row, _now: float) -> Cell:
    if row.memory_bytes is None:
        return Cell(UNKNOWN, "faint")
    return Cell(_size(row.memory_bytes))


def _count(value: int | None) -> Cell:
    return Cell(UNKNOWN if value is None else str(value), "" if value else "faint")


def _limit(row: Row, _now: float) -> Cell:
    if row.limit_bytes is None:
        return Cell(UNKNOWN, "faint")
    share = f"{row.limit_share:.0%} of " if row.limit_share is not None else ""
    used = row.limit_share or 0.0
    tone = "critical" if used >= FULL else "warning" if used >= NEARLY_FULL else ""
    return Cell(share + _size(row.limit_bytes), tone)


def _full_in(row: Row, _now: float) -> Cell:
    if row.left_seconds is None:
        return Cell(UNKNOWN, "faint")
    soon, very = row.left_seconds < SOON_SECONDS, row.left_seconds < VERY_SOON_SECONDS
    return Cell(short(row.left_seconds), "critical" if very else "warning" if soon else "")


def _open(row: Row, _now: float) -> Cell:
    told = [(severity, count) for severity, count in zip(SEVERITIES, row.incidents, strict=True) if count]
    if not told:
        return Cell(UNKNOWN, "faint")
    severity, count = told[0]
    more = sum(row.incidents) - count
    return Cell(f"{count} {severity[:4]}" + (f"+{more}" if more else ""), severity if severity != "info" else "")


def _trail(which: int, level: Callable[[float | None], float | None]) -> Callable[[Row, float], Cell]:
    def cell(row: Row, now: float) -> Cell:
        if row.trail is None:
            return Cell("")
        return Cell(drawn([level(point[which]) for point in row.trail.points(POINTS, STEPS_PER_POINT, now)]))

    return cell


def _as_is(share: float | None) -> float | None:
    return share


def _by_state(row: Row) -> object:
    return row.state != "up", row.stalled_seconds or 0.0, row.state


def _by_delay(row: Row) -> object:
    return row.delay[0] if row.delay is not None else None


COLUMNS = (
    Column("worker", "WORKER", NAME_LEAST, 100, _name, by_name, "least", "left"),
    Column("state", "STATE", 12, 99, _state, _by_state, align="left"),
    Column("delay", "DELAY", 7, 98, _delay, _by_delay),
    Column("delay_trail", "3 MINUTES", POINTS, 75, _trail(0, late_level), _by_delay, align="left"),
    Column("busy", "BUSY", 4, 97, lambda row, _: _share(row.busy_share), lambda row: row.busy_share),
    Column("busy_trail", "3 MINUTES", POINTS, 55, _trail(1, _as_is), lambda row: row.busy_share, align="left"),
    Column("stalls", "STALLS", 6, 93, lambda row, _: _count(row.stalls), lambda row: row.stalls),
    Column("memory", "MEMORY", 7, 95, _memory, lambda row: row.memory_bytes),
    Column("limit", "LIMIT", 14, 60, _limit, lambda row: row.limit_share),
    Column("full_in", "FULL IN", 7, 94, _full_in, lambda row: row.left_seconds, "least"),
    Column("cpu", "CPU", 5, 70, lambda row, _: _share(row.cpu_share), lambda row: row.cpu_share),
    Column("restarts", "RESTARTS", 8, 65, lambda row, _: _count(row.restarts), lambda row: row.restarts),
    Column("open", "OPEN", 8, 96, _open, lambda row: row.incidents, align="left"),
)


def shown(width: int, longest: int) -> list[tuple[Column, int]]:
    """The columns that so many characters have room for, and how wide each is; the name takes what it needs."""
    name = min(max(longest, NAME_LEAST), NAME_MOST)
    first = min(name, NAME_FIRST)
    kept = list(COLUMNS[:2])
    for column in sorted(COLUMNS[2:], key=lambda column: -column.weight):
        if _needed([*kept, column], first) <= width:
            kept.append(column)
    name = max(NAME_LEAST, min(name, first + width - _needed(kept, first)))
    return [(column, name if column.name == "worker" else column.width) for column in COLUMNS if column in kept]


def ordered(rows: Sequence[Row], name: str, *, reverse: bool) -> list[Row]:
    """Sorted by one column, or by what is wrong; the other way round with `reverse`."""
    if name == TROUBLE:
        return sorted(rows, key=trouble, reverse=reverse)
    column = next(each for each in COLUMNS if each.name == name)
    known = [row for row in sorted(rows, key=by_name) if column.rank(row) is not None]
    unknown = [row for row in sorted(rows, key=by_name) if column.rank(row) is None]
    known.sort(key=column.rank, reverse=(column.first == "most") != reverse)  # type: ignore[arg-type]
    return known + unknown


def _needed(columns: Sequence[Column], name: int) -> int:
    return name + sum(column.width + GAP for column in columns if column.name != "worker")
