"""The table of a page, between two comments, and the rows that a page has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["rows_of", "write"]

BEGIN, END = "<!-- What `make reliability` has written begins here. -->", "<!-- It ends here. -->"
BETWEEN = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)


def write(
    page: Path, machine: str, headings: Sequence[str], rows: Iterable[Sequence[str]], names: Sequence[str]
) -> None:
    """Put the rows there, in the order of `names`, in place of those of the same name; other rows stay."""
    known = {row[headings[0]]: tuple(row.values()) for row in rows_of(page)} | {row[0]: tuple(row) for row in rows}
    lines = [tuple(headings), *(known[name] for name in names if name in known)]
    text = [f"| {' | '.join(line)} |" for line in lines]
    text.insert(1, "|" + "---|" * len(headings))
    told = "\n".join(text) + f"\n\nOn {machine}.\n"
    page.write_text(BETWEEN.sub(lambda _: told, page.read_text()))


def rows_of(page: Path) -> list[dict[str, str]]:
    """What the table says, by its headings."""
    found = BETWEEN.search(page.read_text())
    assert found, f"{page} has no table"
    lines = [line for line in found.group().splitlines() if line.startswith("| ")]
    if not lines:
        return []
    headings, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(headings, row, strict=True)) for row in rows]
