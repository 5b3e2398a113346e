"""Which tests run beside which: see tests/support/lanes.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.lanes import APART, AS_ALL, FIRST, LANES, LONGEST, come_first, unit_of

TESTS = Path(__file__).parents[1]
IN_LANES = [place for places in LANES.values() for place in places]


@pytest.mark.parametrize("place", sorted({*IN_LANES, *LONGEST, *APART}))
def test_what_is_named_is_there(place: str) -> None:
    """A file that has another name by now would run beside whom it does not bear."""
    file, _, name = place.partition("::")
    assert (TESTS / file).exists()
    assert f"def {name}(" in (TESTS / file).read_text() if name else True


def test_nothing_is_named_twice() -> None:
    """A file in a lane is taken with it, wherever else it is named."""
    assert len(IN_LANES) == len(set(IN_LANES))
    assert not set(IN_LANES) & {*LONGEST, *APART}


@pytest.mark.parametrize(
    ("test", "unit"),
    [
        ("tests/integration/test_causes.py::test_cause_and_culprit[lock_wait-probe]", "moments"),
        ("tests/integration/test_probe.py::test_time_is_booked_once[3.12]", "moments"),
        ("tests/integration/test_captures.py::test_refused", "captures"),
        ("tests/unit/page/test_captured.py::test_a_name_is_no_path", "reckoning"),
        ("tests/integration/test_probe.py::test_a_b[3.12]", "tests/integration/test_probe.py::test_a_b[3.12]"),
        ("tests/integration/test_growth.py::test_a", "tests/integration/test_growth.py"),
        ("tests/integration/test_captures_elsewhere.py::test_a", "tests/integration/test_captures_elsewhere.py"),
    ],
)
def test_what_a_worker_takes_as_a_whole(test: str, unit: str) -> None:
    """A lane, one test of those that are apart, or a file."""
    assert unit_of(test) == unit


@pytest.mark.parametrize(("place", "first"), [("test_causes.py", True), ("test_growth.py", False)])
def test_who_measures_moments_comes_first(monkeypatch: pytest.MonkeyPatch, place: str, first: bool) -> None:
    """And whoever follows in the same worker is like all others again; without leave all are alike."""
    asked: list[int] = []

    def refused(_which: int, _who: int, wanted: int) -> None:
        asked.append(wanted)
        raise PermissionError

    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setattr(os, "nice", lambda _more: AS_ALL if first else FIRST)
    monkeypatch.setattr(os, "setpriority", refused)
    come_first(f"tests/integration/{place}::test_a")
    assert asked == [FIRST if first else AS_ALL]
