"""What has grown between two snapshots: which constructor comes first."""

from __future__ import annotations

from vitalsd.capture.census import Census
from vitalsd.capture.v8.growing import growing_constructors


def census(**types: tuple[int, int]) -> Census:
    """Of these, by name."""
    return Census(types, 1, 0, 0, 0)


def test_a_class_comes_before_what_it_is_made_of() -> None:
    """Arrays and strings have more bytes, and tell nothing."""
    before = census(**{"Session": (10, 400), "(string)": (100, 4000), "Array": (10, 160)})
    after = census(**{"Session": (1010, 40_400), "(string)": (2100, 90_000), "Array": (1010, 16_160)})
    rows = growing_constructors(before, after)
    assert [row["type"] for row in rows] == ["Session", "(string)", "Array"]
    assert rows[0] == {"type": "Session", "grew": 1000, "bytes": 40_000, "now": 1010}


def test_a_function_counts_like_a_class() -> None:
    """As listeners are that nobody takes off."""
    after = census(**{"onData()": (500, 32_000), "system / Context": (500, 40_000), "(array)": (3, 90_000)})
    assert growing_constructors(census(), after)[0]["type"] == "onData()"


def test_what_is_beside_it_is_nothing() -> None:
    """A class of a few is no class that leaks; neither is what has hardly grown beside what has."""
    after = census(Map=(5000, 1000), Config=(12, 900_000), Few=(9, 9))
    assert [row["type"] for row in growing_constructors(census(), after)] == ["Map"]


def test_what_shrinks() -> None:
    """It is not told."""
    assert growing_constructors(census(Session=(100, 1)), census(Session=(90, 9))) == []
