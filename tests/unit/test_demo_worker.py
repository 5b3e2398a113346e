"""What the demo service answers to requests it cannot serve."""

from __future__ import annotations

import pytest

from vitalsd.demo.faults import FAULTS, Faults
from vitalsd.demo.worker import respond


@pytest.mark.parametrize("seconds", ["0", "-1", "61", "nan", "inf", "soon"])
def test_a_fault_has_bounds(seconds: str) -> None:
    """A fault that would last for ever, or never begin, is refused with the bounds."""
    status, text = respond(Faults(), "GET", f"/fault/block?seconds={seconds}")

    assert status == "400 Bad Request"
    assert text == "Give seconds above 0 and up to 60.\n"


@pytest.mark.parametrize("path", ["/fault/none", "/elsewhere", "/fault/", "/x/fault/block"])
def test_what_is_not_there_is_told_with_what_is(path: str) -> None:
    """Every fault is named."""
    status, text = respond(Faults(), "GET", path)

    assert status == "404 Not Found"
    assert all(name in text for name in FAULTS)


def test_only_get_switches() -> None:
    """Another method changes nothing."""
    assert respond(Faults(), "POST", "/fault/crash")[0] == "405 Method Not Allowed"


def test_the_front_page_names_every_fault() -> None:
    """A person with a browser needs nothing else."""
    status, text = respond(Faults(), "GET", "/")

    assert status == "200 OK"
    assert all(f"/fault/{name}?seconds=" in text for name in (*FAULTS,))
    assert "/fault/calm" in text
