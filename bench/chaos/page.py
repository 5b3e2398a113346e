"""The table of a page, between two comments, and the rows that a page has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["rows_of", "write"]

BEGIN, END = "<!-- What `make reliability` has written begins here. -->", "<!-- It ends here. -->"
BETWEEN = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)


def write(page: Path, machine: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Put the table there, with the machine that it is of."""
    lines = [tuple(headings), *map(tuple, rows)]
    text = [f"| {' | '.join(line)} |" for line in lines]
    text.insert(1, "|" + "---|" * len(lines[0]))
    told = "\n".join(text) + f"\n\nOn {machine}.\n"
    before = page.read_text()
    assert BETWEEN.search(before), f"{page} has no place for a table"
    page.write_text(BETWEEN.sub(lambda _: told, before))


def rows_of(page: Path) -> list[dict[str, str]]:
    """What the table says, by its headings."""
    found = BETWEEN.search(page.read_text())
    assert found, f"{page} has no table"
    lines = [line for line in found.group().splitlines() if line.startswith("| ")]
    headings, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(headings, row, strict=True)) for row in rows]
