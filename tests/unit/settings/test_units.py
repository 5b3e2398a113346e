"""Durations and sizes: what is read, what is refused, and that nothing is lost on the way."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalsd.settings.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("15s", 15),
        ("5m", 300),
        ("1h30m", 5400),
        ("8d", 691_200),
        ("1m5ms", 60.005),
        ("0s", 0),
    ],
)
def test_reads_prometheus_durations(text, seconds):
    """Whole numbers with units, greatest first, mean what they mean in Prometheus."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["5", "0", "1.5", "-3", ".5"])
def test_bare_number_is_told_that_a_unit_is_missing(text):
    """A number alone is refused with the one thing that it lacks."""
    with pytest.raises(ValueError, match="needs a unit, for example 15s"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "s", "1.5s", "-1s", "1 s", "1S", "30m1h", "1s1s", "1y", "soon", "1s\n", "٣s", "9" * 9 + "d"]
)
def test_what_can_be_read_in_two_ways_is_refused(text):
    """Fractions, signs, spaces, wrong order, repetition and unknown units are no durations."""
    with pytest.raises(ValueError, match="expected a duration in whole numbers"):
        parse_duration(text)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=99_999_999 * 86_400_000))
def test_round_trip(milliseconds):
    """Every duration to the millisecond is written so that reading it gives the same float."""
    text = format_duration(milliseconds / 1_000)
    assert parse_duration(text) == milliseconds / 1_000
    assert re.search(DURATION_PATTERN, text)


def test_the_shortest_form_is_written():
    """Units that count nothing are left out."""
    assert [format_duration(seconds) for seconds in (0, 0.02, 90, 5400, 86_400.5)] == [
        "0s",
        "20ms",
        "1m30s",
        "1h30m",
        "1d500ms",
    ]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("1B", 1),
        ("4KiB", 4096),
        ("256MiB", 2**28),
        ("2GiB", 2**31),
        ("1TiB", 2**40),
        ("1536MiB", 3 * 2**29),
    ],
)
def test_reads_sizes(text, size):
    """Whole numbers with one unit, which is a power of 1024."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["5", "0", "1.5", "-3"])
def test_bare_number_is_no_size(text):
    """A number alone is refused with the one thing that it lacks."""
    with pytest.raises(ValueError, match="needs a unit, for example 256MiB"):
        parse_size(text)


@pytest.mark.parametrize(
    "text",
    ["", "MiB", "1.5GiB", "-1B", "1 MiB", "1mib", "1MB", "1M", "1G", "1GiB512MiB", "1KiB\n", "9" * 16 + "B"],
)
def test_what_may_mean_another_size_is_refused(text):
    """Units of a thousand, fractions and sums are no sizes."""
    with pytest.raises(ValueError, match="expected a size as a whole number of B, KiB, MiB, GiB or TiB"):
        parse_size(text)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=2**49) | st.integers(0, 1000).map(lambda count: count * 2**30))
def test_sizes_round_trip(size):
    """Every size is written so that reading it gives the same."""
    text = format_size(size)
    assert parse_size(text) == size
    assert re.search(SIZE_PATTERN, text)


def test_the_greatest_unit_is_written():
    """A size is told by the greatest unit of which it is a whole number."""
    assert [format_size(size) for size in (0, 1, 1500, 4096, 3 * 2**29, 2**30)] == [
        "0B",
        "1B",
        "1500B",
        "4KiB",
        "1536MiB",
        "1GiB",
    ]
