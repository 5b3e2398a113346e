"""Durations: what is read, what is refused, and that nothing is lost on the way."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalsd.settings.units import DURATION_PATTERN, format_duration, parse_duration


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
