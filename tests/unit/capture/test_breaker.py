"""When an engine is left alone on a target, by what it has done there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.capture_words import NOON, capture, wanted

from vitalsd.capture.breaker import LONGEST_SECONDS, Breaker, open_breaker, open_breakers
from vitalsd.capture.model import Capture, CaptureKind
from vitalsd.capture.policy import Facts, refusal
from vitalsd.settings.model import Capture as Settings

HOUR = 3600.0
HARM = "the service was stopped for 300 ms."


def ended(at: float, state: str = "failed", **more: Any) -> Capture:
    """A capture that ended so many seconds after noon."""
    return capture(state, NOON + at, ended_at=NOON + at, **more)


def rest(
    *before: Capture, at: float, target: str = "shop", engine: str = "py-spy", kind: CaptureKind = "cpu"
) -> float | None:
    """For how long it is open, so many seconds after noon; `before` is given oldest first."""
    opened = open_breaker(target, engine, kind, before[::-1], NOON + at)
    return None if opened is None else opened.rest_seconds


def test_it_is_closed() -> None:
    """Nothing was captured, all went well, or one failure alone."""
    assert rest(at=0) is None
    assert rest(ended(0, "done"), ended(10, "done"), at=20) is None
    assert rest(ended(0), at=20) is None


def test_harm_opens_it_for_an_hour() -> None:
    """Whatever became of that capture, for that engine, kind and target alone."""
    for state in ("done", "failed", "cancelled"):
        harmful = ended(0, state, harm=HARM)
        assert rest(harmful, at=600) == HOUR - 600
        assert rest(harmful, at=HOUR) is None
        assert rest(harmful, at=600, target="till") is None
        assert rest(harmful, at=600, engine="memray") is None
        assert rest(harmful, at=600, kind="stacks") is None


def test_a_profile_that_held_takes_no_other_kind_away() -> None:
    """An engine of the same name makes memory and heap captures too, and two failures are counted by kind."""
    held = ended(0, "done", engine="v8", harm="it held the service for 0.63 s")
    (only,) = open_breakers((held,), NOON + 60)
    assert (only.engine, only.kind) == ("v8", "cpu")
    for kind, word in (("cpu", "breaker"), ("memory", None), ("heap", None)):
        told = refusal(
            wanted(kind=kind), Facts(state="S"), (held,), Settings(), NOON + 60, heavy=False, engine="v8"
        )
        assert (told.word if told is not None else None) == word
    assert rest(ended(0), ended(10, kind="stacks"), at=20) is None


def test_what_agents_of_before_have_told_is_of_all_kinds() -> None:
    """They had no `kind`: whoever reads theirs leaves the engine alone altogether."""
    told = {"target": "shop", "engine": "v8", "rest_seconds": 60.0, "reason": "it failed there twice"}
    assert msgspec.convert(told, Breaker).kind is None


def test_two_failures_within_an_hour_open_it() -> None:
    """In a row: not with a good one between, not an hour apart, not those that were not the engine's."""
    assert rest(ended(0), ended(HOUR), at=HOUR + 1) == HOUR - 1
    assert rest(ended(0), ended(HOUR + 1), at=HOUR + 2) is None
    assert rest(ended(0), ended(10, "done"), ended(20), at=30) is None
    assert rest(ended(0), ended(10, "cancelled"), ended(20), at=30) == HOUR - 10
    cut_off = [ended(n, refusal="closed") for n in range(50)]
    assert rest(*cut_off, ended(60), at=61) is None


def test_it_opens_for_longer_each_time() -> None:
    """1, 2, 4 ... hours, up to a day; after it, one trial that fails is enough."""
    before = [ended(0), ended(1)]
    at = 1.0
    for hours in (1, 2, 4, 8, 16, 24, 24, 24):
        assert rest(*before, at=at) == hours * HOUR
        assert rest(*before, at=at + hours * HOUR) is None
        at += hours * HOUR + 60
        before.append(ended(at))
    assert rest(*before, ended(at + 1, "done"), at=at + 2) is None
    assert rest(*before, ended(at + 1, "done"), ended(at + 2), at=at + 3) is None
    assert rest(*before, ended(at + 1, "done"), ended(at + 2, "done", harm=HARM), at=at + 2) == HOUR


@given(at=st.floats(-1e9, 1e9, allow_nan=False))
def test_a_clock_that_was_set_does_not_keep_it_open(at: float) -> None:
    """What lies in the future holds no longer than what lies in the past."""
    told = rest(*[ended(n, harm=HARM) for n in range(20)], at=at)
    assert told is None or 0 < told <= LONGEST_SECONDS
    assert abs(at) < 2 * LONGEST_SECONDS or told is None


@pytest.mark.parametrize(
    ("before", "because"),
    [
        ((ended(0, harm=HARM),), "it did harm there: the service was stopped for 300 ms"),
        ((ended(-1), ended(0, problem="it said nothing.")), "it failed there twice: it said nothing"),
        ((ended(-2), ended(-1), ended(0)), "it failed there again"),
    ],
)
def test_the_policy_says_so(before: tuple[Capture, ...], because: str) -> None:
    """To everybody, and when it may be used again."""
    now, more = NOON + 0.25, {"heavy": False, "engine": "py-spy"}
    told = refusal(wanted(force=True), Facts(state="S"), before[::-1], Settings(), now, **more)
    assert told is not None
    assert told.word == "breaker"
    assert told.sentence.startswith("py-spy is not used for `cpu` of shop for some time")
    assert f", since {because}; `vitalsd doctor` shows what else would do" in told.sentence
    assert told.retry_after_seconds is not None
