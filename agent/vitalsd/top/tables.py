"""The two lists of the first screen: workers, and incidents."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment

from vitalsd.cli.figures import plain
from vitalsd.cli.incidents import what, where
from vitalsd.cli.moments import short, unix
from vitalsd.top.columns import Column, shown
from vitalsd.top.lines import Lines, padded
from vitalsd.top.rows import Row
from vitalsd.top.tones import STYLES

__all__ = ["IncidentList", "WorkerTable"]

LONGEST = 400
"""Letters of a name that are looked at: no terminal has room for more."""
SEVERITY, AGE, COUNT, WHERE_LEAST, WHERE_MOST = 8, 6, 6, 8, 24
GAP = Segment(" ")


class WorkerTable(Lines[Row]):
    """A row for each worker."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(name="workers", empty="No worker: start a service with `vitalsd run`.")
        self._clock = clock
        self._longest = 0
        self.sorted_by = ""

    def key_of(self, row: Row) -> Hashable:
        """The place, whoever sits there."""
        return row.place

    def heading(self, width: int) -> list[Segment]:
        """Titles; the one that it is sorted by is marked."""
        segments: list[Segment] = []
        for column, room in self._columns(width):
            style = STYLES["chosen" if column.name == self.sorted_by else "head"]
            segments += [padded(column.title, room, style, right=column.align == "right"), GAP]
        return segments

    def line(self, row: Row, width: int) -> list[Segment]:
        """Cells, each with what it has of colour."""
        segments: list[Segment] = []
        now = self._clock()
        for column, room in self._columns(width):
            cell = column.cell(row, now)
            text = shortened(row, room) if column.name == "worker" else cell.text
            segments += [padded(text, room, STYLES[cell.tone], right=column.align == "right"), GAP]
        return segments

    def columns(self) -> list[str]:
        """The names of those that are shown now."""
        return [column.name for column, _ in self._columns(self.scrollable_content_region.width)]

    def show(self, rows: Sequence[Row]) -> None:
        """Have these rows, and room for their names."""
        self._longest = max((cell_len(row.name) for row in rows), default=0)
        super().show(rows)

    def _columns(self, width: int) -> list[tuple[Column, int]]:
        return shown(width, self._longest)


def shortened(row: Row, room: int) -> str:
    """A name that fits; of one that is too long the target gives way, since the slot tells workers apart."""
    if cell_len(row.name) <= room:
        return row.name
    slot = f"/{plain(row.slot[:LONGEST])}"
    return set_cell_size(plain(row.target[:LONGEST]), max(0, room - cell_len(slot) - 1)).rstrip() + "…" + slot


class IncidentList(Lines[Mapping[str, Any]]):
    """A line for each incident."""

    def __init__(self, clock: Callable[[], float], *, name: str, title: str) -> None:
        super().__init__(name=name, empty="none")
        self._clock, self.title = clock, title
        self._longest = 0

    def show(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Have these, and room for the names of their workers."""
        self._longest = max((cell_len(where(row)[:LONGEST]) for row in rows), default=0)
        super().show(rows)

    def key_of(self, row: Mapping[str, Any]) -> Hashable:
        """Its id."""
        return str(row["id"])

    def heading(self, width: int) -> list[Segment]:
        """What they are."""
        return [padded(self.title, width, STYLES["head"])]

    def line(self, row: Mapping[str, Any], width: int) -> list[Segment]:
        """How bad, for how long, where and what; what is over is faint."""
        now, is_open = self._clock(), row["state"] == "open"
        opened, resolved = unix(row["opened_at"]), unix(row["resolved_at"])
        lasted = short((now if resolved is None else resolved) - opened) if opened is not None else "-"
        room = min(WHERE_MOST, max(WHERE_LEAST, self._longest), max(WHERE_LEAST, width // 3))
        tone = STYLES[row["severity"] if is_open and row["severity"] in STYLES else "" if is_open else "faint"]
        rest = width - SEVERITY - AGE - room - COUNT - 4
        return [
            padded(row["severity"] if is_open else "over", SEVERITY, tone),
            GAP,
            padded(lasted, AGE, STYLES["" if is_open else "faint"], right=True),
            GAP,
            padded(plain(where(row)[:LONGEST]), room, STYLES["" if is_open else "faint"]),
            GAP,
            padded(plain(what(row)[:LONGEST]), max(0, rest), STYLES["" if is_open else "faint"]),
            GAP,
            padded(f"{row['count']}x", COUNT, STYLES["faint"], right=True),
        ]
