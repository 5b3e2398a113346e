"""Recorded points: what is read, and what is told of each line that is none."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.history.points import Point
from vitalsd.history.recording import LONGEST_LINE, read_points

GOOD = b'{"t": 100, "target": "shop", "worker": "0", "start": 5, "rss_anon": 7}'


def read(*lines: bytes) -> tuple[list[Point], dict[int, str]]:
    """Points, and what was wrong by the number of its line."""
    bad: dict[int, str] = {}

    def tell(number: int, reason: str) -> None:
        assert number not in bad
        bad[number] = reason

    return list(read_points(lines, tell)), bad


def line(**fields: object) -> bytes:
    """A line with these fields beside what it must have."""
    return msgspec.json.encode({"t": 100, "target": "shop", "worker": "0", "start": 5, **fields})


def test_every_field() -> None:
    """All that is known of one worker at one instant."""
    fields = {
        "rss_anon": 1.0,
        "swap": 2.0,
        "limit": 3.0,
        "heap_live": 4.0,
        "heap_used": 5.0,
        "blocks": 6.0,
        "fds": 7.0,
        "threads": 8.0,
        "tasks": 9.0,
        "left": 10.0,
    }
    (point,), bad = read(line(**fields))
    assert point == Point(100.0, "shop", "0", 5.0, **fields)
    assert bad == {}
    assert set(fields) == set(Point.__struct_fields__) - {"t", "target", "worker", "start"}
    assert read(msgspec.json.encode(point)) == ([point], {})


READ = {
    "as written": GOOD,
    "with a newline": GOOD + b"\n",
    "with CRLF": GOOD + b"\r\n",
    "after a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "with spaces around": b"  " + GOOD + b"\t",
    "a worker that is a number": GOOD.replace(b'"0"', b"0"),
    "both": b"\xef\xbb\xbf" + GOOD.replace(b'"0"', b"0") + b"\r\n",
    "with null": GOOD.replace(b"7}", b'7, "swap": null}'),
    "with more than is known": GOOD.replace(b"7}", b'7, "pid": 9, "labels": {"a": [1]}}'),
    "with fractions": GOOD.replace(b"100", b"1e2").replace(b" 7}", b" 7.0}"),
}


@pytest.mark.parametrize("name", READ)
def test_what_people_and_their_programs_write(name: str) -> None:
    """All of it is the same point."""
    assert read(READ[name]) == ([Point(100.0, "shop", "0", 5.0, rss_anon=7.0)], {})


BAD = {
    "garbage": (b"garbage", "JSON is malformed: invalid character (byte 0)"),
    "half a line": (GOOD[:-1], "Input data was truncated"),
    "a list": (b"[1]", "Expected `object`, got `array`"),
    "null": (b"null", "Expected `object`, got `null`"),
    "nothing in it": (b"{}", "Object missing required field `t`"),
    "a key that is missing": (GOOD.replace(b'"start"', b'"began"'), "Object missing required field `start`"),
    "the same, of a numbered worker": (
        GOOD.replace(b'"start"', b'"began"').replace(b'"0"', b"0"),
        "Object missing required field `start`",
    ),
    "text for a number": (GOOD.replace(b"7", b'"7"'), "Expected `float | null`, got `str` - at `$.rss_anon`"),
    "true for a worker": (GOOD.replace(b'"0"', b"true"), "Expected `int | str`, got `bool` - at `$.worker`"),
    "true for a number": (GOOD.replace(b"7", b"true"), "Expected `float | null`, got `bool` - at `$.rss_anon`"),
    "NaN": (GOOD.replace(b"7", b"NaN"), "JSON is malformed: "),
    "Infinity": (GOOD.replace(b"7", b"Infinity"), "JSON is malformed: "),
    "beyond any number": (GOOD.replace(b"7", b"1e999"), "Number out of range - at `$.rss_anon`"),
    "less than nothing": (line(rss_anon=-1), "a value is less than nothing, or more than any machine has"),
    "more than any machine has": (line(fds=1e300), "a value is less than nothing, or more than any machine has"),
    "milliseconds": (line(t=1_783_000_000_000), "t and start are expected in seconds since 1970"),
    "a start in milliseconds": (line(start=1_783_000_000_000), "t and start are expected in seconds since 1970"),
    "before 1970": (line(t=-1), "t and start are expected in seconds since 1970"),
    "bytes that are no text": (GOOD.replace(b"shop", b"\xff\xfe"), "'utf-8' codec can't decode byte 0xff"),
    "half a character": (GOOD.replace(b"shop", b"\\ud800"), "JSON is malformed: "),
    "very deep": (b'{"a":' * 10_000, "it is nested too deeply"),
    "very long": (GOOD + b" " * LONGEST_LINE, "it is longer than 65536 bytes"),
    "very long and empty": (b" " * (LONGEST_LINE + 1), "it is longer than 65536 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_told_by_its_number_and_skipped(name: str) -> None:
    """And what is around it is read."""
    bad_line, reason = BAD[name]
    points, bad = read(GOOD, b"", bad_line, GOOD)
    assert len(points) == 2
    assert list(bad) == [3]
    assert bad[3].startswith(reason)


@pytest.mark.parametrize("field", sorted(set(Point.__struct_fields__) - {"t", "target", "worker", "start"}))
def test_no_value_is_less_than_nothing(field: str) -> None:
    """Zero is something."""
    assert read(line(**{field: 0}))[1] == {}
    assert list(read(line(**{field: -0.5}))[1]) == [1]


def test_lines_without_anything_are_none() -> None:
    """They are counted, and no mistake."""
    points, bad = read(b"", b"\n", b"  \r\n", GOOD, b"x")
    assert len(points) == 1
    assert list(bad) == [5]


def test_time_goes_forward_for_each_worker() -> None:
    """What is older than the line before it of the same worker is skipped; workers may be mixed, and wait."""
    points, bad = read(
        line(t=100),
        line(t=50, worker="1"),
        line(t=90),
        line(t=60, worker="1"),
        line(t=100),
        line(t=40, target="legacy"),
        line(t=99, worker="1"),
        line(t=98, worker="1"),
    )
    assert [(point.target, point.worker, point.t) for point in points] == [
        ("shop", "0", 100),
        ("shop", "1", 50),
        ("shop", "1", 60),
        ("shop", "0", 100),
        ("legacy", "0", 40),
        ("shop", "1", 99),
    ]
    assert bad == {
        3: "it is older than the line before it of shop/0",
        8: "it is older than the line before it of shop/1",
    }


def test_it_reads_as_it_goes() -> None:
    """A recording of any length, and one that is still being written."""
    endless = (line(t=number) for number in itertools.count())
    points = read_points(endless, lambda number, reason: pytest.fail(f"{number}: {reason}"))
    assert [next(points).t for _ in range(3)] == [0, 1, 2]


@given(st.lists(st.one_of(st.binary(max_size=80), st.just(GOOD), st.text().map(str.encode)), max_size=20))
def test_any_bytes(lines: list[bytes]) -> None:
    """Each line is a point, empty, or bad; none is two of them, and none is an error."""
    points, bad = read(*lines)
    assert len(points) >= lines.count(GOOD)
    assert len(points) + len(bad) + sum(not each.strip() for each in lines) == len(lines)
