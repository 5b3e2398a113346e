"""The page of recorded samples: every field, and an example that is read as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vitalsd.history.points import Point
from vitalsd.history.recording import read_points

PAGE = (Path(__file__).parent.parent.parent / "docs" / "backtest.md").read_text()


def test_every_field_is_documented() -> None:
    """And none that there is not."""
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(Point.__struct_fields__)


def test_the_example_is_read() -> None:
    """Line by line."""
    lines = [line.encode() for line in PAGE.splitlines() if line.startswith("{")]
    assert len(list(read_points(lines, lambda _number, why: pytest.fail(why)))) == len(lines) == 2
