"""Sizes, spans and rates as people read them."""

from __future__ import annotations

import pytest
from unit.detect.growth.lives import DAY, MIB

from vitalsd.detect.growth.plan import MEMORY, MEMORY_BOUNDS, plan_of
from vitalsd.detect.growth.series import Series
from vitalsd.detect.growth.shape import NotYet, Rise
from vitalsd.detect.growth.words import not_yet, rate, settling, size, span
from vitalsd.settings.model import Memory, Settings

GIB = 1024 * MIB


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (10 * MIB, "10 MiB"),
        (9.94 * MIB, "9.9 MiB"),
        (600 * MIB, "600 MiB"),
        (1.4 * GIB, "1.4 GiB"),
        (5000 * GIB, "5000 GiB"),
        (-3 * MIB, "-3.0 MiB"),
    ],
)
def test_size(amount: float, text: str) -> None:
    """Two digits are enough."""
    assert size(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (2700, "45 min"),
        (5970, "1 h 40 min"),
        (7200, "2 h"),
        (17_400, "4 h 50 min"),
        (47.99 * 3600, "47 h 59 min"),
        (48 * 3600, "2 d"),
        (76 * 3600, "3 d 4 h"),
        (9e9, "104166 d 16 h"),
    ],
)
def test_span(seconds: float, text: str) -> None:
    """The two greatest units."""
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (50 * MIB / 3600, "50 MiB an hour"),
        (9.9 * MIB / 60, "594 MiB an hour"),
        (10 * MIB / 60, "10 MiB a minute"),
        (100, "352 KiB an hour"),
    ],
)
def test_rate(per_second: float, text: str) -> None:
    """By the hour, and by the minute where that is what counts."""
    assert rate(per_second) == text


def rise(window: float, share: float = 0.2) -> Rise:
    """One that is near."""
    return Rise("level", window, 0.0, 1.0, share, 2.5, 1.0)


REASONS = {
    "what is near": ({7200: NotYet("a", rise(7200)), 86_400: NotYet("b")}, "it has grown by 20 % in 2 h, but a"),
    "the longest that is near": (
        {7200: NotYet("a", rise(7200)), 86_400: NotYet("b", rise(86_400, 0.07))},
        "it has grown by 7 % in 24 h, but b",
    ),
    "the longest that was judged": (
        {7200: NotYet("a"), 14_400: NotYet("b"), 86_400: NotYet("c", early=True)},
        "it over the last 4 h: b",
    ),
    "the first that will be judged": (
        {7200: NotYet("a", early=True), 86_400: NotYet("b", early=True)},
        "it over the last 2 h: a",
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_that_says_most(name: str) -> None:
    """One of all windows, with its length."""
    reasons, text = REASONS[name]
    series = Series(DAY, MEMORY, MEMORY_BOUNDS)
    series.latest = 1.0
    series.reasons = reasons
    told = not_yet(series, "it")
    assert told.removesuffix(" (steadiness 2.5)") == text


def test_no_reason_yet() -> None:
    """Nothing is known, or no window is complete."""
    series = Series(DAY, MEMORY, MEMORY_BOUNDS)
    assert not_yet(series, "its memory") == "its memory is not known"
    series.latest = 1.0
    assert not_yet(series, "its memory") == "no window of its memory is complete"
    assert settling(None) is None


def test_every_time_follows_from_the_day() -> None:
    """As it is configured."""
    plan = plan_of(Settings(memory=Memory(day=60.0, settle=2.5, exhaustion=120.0)))
    assert (plan.day_seconds, plan.settle_seconds, plan.exhaustion_seconds) == (60.0, 2.5, 120.0)
    assert plan.base_seconds == pytest.approx(60 / 288)
    assert plan.keep_seconds == 480.0
    assert plan_of(Settings()) == DAY
    windows = [blocks.window_seconds / 3600 for blocks in Series(DAY, MEMORY, MEMORY_BOUNDS).floors.blocks]
    assert windows == pytest.approx([2, 8 / 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96])
