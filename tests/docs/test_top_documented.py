"""docs/top.md: every key and every column is there, as it is, and the order in which columns have room."""

from __future__ import annotations

import re
from pathlib import Path

from vitalsd.top.columns import COLUMNS
from vitalsd.top.help import FIGURES
from vitalsd.top.keys import SCREENS

PAGE = (Path(__file__).parents[2] / "docs" / "top.md").read_text(encoding="utf-8")
OF = {"delay_trail": "3 MINUTES of DELAY", "busy_trail": "3 MINUTES of BUSY"}


def test_every_key_has_one_row() -> None:
    """With the sentence that the help has."""
    told = re.findall(r"^\| ([^|]+) \| `([^`]+)` \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert told == [(screen, key.shown, key.sentence) for screen, keys in SCREENS.items() for key in keys]


def test_every_column_has_one_row() -> None:
    """In the order in which they stand."""
    (table,) = re.findall(r"(?ms)^\| column \| what it says \|\n(.*?)\n\n", PAGE)
    told = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert told == list(dict.fromkeys(each.title for each in COLUMNS))


def test_who_has_room_first_is_told() -> None:
    """In the help and on the page."""
    first = sorted(COLUMNS, key=lambda column: -column.weight)
    in_help = FIGURES[FIGURES.index("in this order") :].replace("\n", " ")
    assert re.findall(r"3 MINUTES of \w+|FULL IN|[A-Z]{3,}", in_help) == [
        OF.get(each.name, each.title) for each in first
    ]
    (on_page,) = re.findall(r"(?s)in this order: (.*?)\. 80 columns", PAGE)
    assert re.findall(r"`([A-Z3 ]+)`", on_page) == [each.title for each in first]
