"""What the API says, as text that fits a terminal: figures with their units, and small tables."""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import msgspec

from vitalsd.cli.moments import lasting, stamp
from vitalsd.detect.growth.words import size

__all__ = [
    "EARLIEST",
    "INDENT",
    "cut",
    "facts",
    "figure",
    "filled",
    "is_moment",
    "is_table",
    "placed",
    "plain",
    "seconds",
    "table",
    "wide",
    "within",
]

NARROW, WIDE = 80, 120
"""Columns: what every terminal has, and the longest line that reads well. A pipe gets the first."""
INDENT = "  "
MOST_ROWS = 10
NAMES = ("function", "type", "coroutine", "name", "chain", "pool")
"""The field of a row that says what it is of, the first that it has."""
PLACES = ("at", "origin", "waits_at")
"""The field that says where that is."""
WHOSE = {
    "own": "",
    "package": ", of a package",
    "standard": ", of the standard library",
    "framework": ", of a framework",
    "loop": ", of the event loop",
}
"""An origin that says whose code a function is."""
NO_FIGURES = (*NAMES, *PLACES, "file", "line", "id")
LONG_SECONDS = 100
"""From here on a duration is told in minutes and more."""
EARLIEST = 1e9
"""A number above it is unix time."""
FIGURES_WIDTH = 42
"""What a table has for figures, of what a terminal has."""
_COLUMNS: ContextVar[int | None] = ContextVar("columns", default=None)


@contextlib.contextmanager
def within(columns: int) -> Iterator[None]:
    """Write for so many columns meanwhile, whatever standard output has."""
    before = _COLUMNS.set(columns)
    try:
        yield
    finally:
        _COLUMNS.reset(before)


def wide() -> int:
    """How many columns there are to write in."""
    if (columns := _COLUMNS.get()) is not None:
        return columns
    if not sys.stdout.isatty():
        return NARROW
    return min(max(shutil.get_terminal_size().columns, NARROW), WIDE)


def cut(line: str) -> str:
    """As much as a terminal has room for."""
    return line if len(line) <= wide() else line[: wide() - 3] + "..."


def filled(text: str, first: str = "", others: str | None = None) -> str:
    """All words of a text, in lines that begin like this; one that is too long for a line goes on in the next."""
    return textwrap.fill(
        text,
        wide(),
        initial_indent=first,
        subsequent_indent=" " * len(first) if others is None else others,
        break_on_hyphens=False,
    )


def plain(text: object) -> str:
    """A text that a service, or somebody else, has chosen: without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def facts(told: Mapping[str, Any], indent: str = "") -> str:
    """A line or more for each that is known."""
    known = {name: str(value) for name, value in told.items() if value not in (None, "")}
    width = max(map(len, known), default=0)
    return "\n".join(filled(value, f"{indent}{name:{width}}  ") for name, value in known.items())


def placed(frame: Mapping[str, Any], room: int) -> str:
    """`parse (/srv/shop/orders.py:41)`; the beginning of a path that is too long is what can be done without."""
    function, path, line = plain(frame.get("function")), plain(frame.get("file")), frame.get("line")
    place = f"{function} ({path}:{line})"
    while len(place) > room and "/" in path.removeprefix(".../"):
        path = ".../" + path.removeprefix(".../").partition("/")[2]
        place = f"{function} ({path}:{line})"
    return place if len(place) <= room else place[: room - 3] + "..."


def is_table(value: object) -> bool:
    """Whether it is a list of rows."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The figures of each row, as many as there is room for, and then what they are of, in all its words."""
    shown = rows[:MOST_ROWS]
    columns: list[list[str]] = []
    for name in (name for name in rows[0] if name not in NO_FIGURES and _is_number(rows[0][name])):
        head = plain(name).removesuffix("_share").replace("_per_second", "/s").replace("_", " ")
        column = [head, *(figure(name, row.get(name)) for row in shown)]
        width = max(map(len, column))
        if sum(len(each[0]) + 2 for each in columns) + width > FIGURES_WIDTH:
            break
        columns.append([cell.rjust(width) for cell in column])
    lines = []
    for *figures, of in zip(*columns, ["", *map(_of, shown)], strict=True):
        before = INDENT + "".join(f"{cell}  " for cell in figures)
        lines.append(filled(of, before, " " * len(before) + INDENT) if of else before.rstrip())
    lines = lines if columns else lines[1:]
    return lines + ([f"{INDENT}and {len(rows) - MOST_ROWS} more: --json"] if len(rows) > MOST_ROWS else [])


def figure(name: str, value: object) -> str:
    """A value with the unit that its name tells."""
    if isinstance(value, bool) or value is None:
        return "-" if value is None else "yes" if value else "no"
    if isinstance(value, int | float):
        if is_moment(name) and value > EARLIEST:
            return stamp(value)
        if name.endswith("share"):
            return f"{value:.1%}"
        if name.endswith("bytes"):
            return size(value)
        if "bytes_per_second" in name:
            return f"{size(value)}/s"
        if name.endswith("seconds"):
            return lasting(value) if value >= LONG_SECONDS else seconds(float(value))
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    return plain(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def is_moment(name: str) -> bool:
    """Whether a figure of this name is a time, not how long something took."""
    return name == "since" or name.endswith("_at")


def seconds(duration: float | None, unknown: str | None = "-") -> str:
    """`250ms`, `1.2s`."""
    if duration is None:
        return unknown or ""
    return f"{duration * 1000:.3g}ms" if abs(duration) < 1 else f"{duration:.1f}s"


def _of(row: Mapping[str, Any]) -> str:
    """`parse (orders.py:41)`, a type, or a thread and where it is."""
    name = plain(next((row[field] for field in NAMES if row.get(field)), "not known"))
    if row.get("file"):
        name += f" ({plain(row['file']).rpartition('/')[2]}:{row.get('line')})"
    at = next((row[field] for field in PLACES if row.get(field)), None)
    if isinstance(at, str) and at in WHOSE:
        return f"{name}{WHOSE[at]}"
    if isinstance(at, dict):
        return f"{name}, in {_of(at)}"
    return f"{name}, in {plain(at)}" if isinstance(at, str) else name


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
