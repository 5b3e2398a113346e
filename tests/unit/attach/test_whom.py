"""Whom a person means: a pid, or a target's worker as the agent has it."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from vitalsd.cli import attach
from vitalsd.errors import UsageError
from vitalsd.settings.model import Settings


def worker(slot: str, pid: int, up: bool = True) -> dict[str, Any]:
    """One of a target's."""
    return {"slot": slot, "up": up, "key": {"pid": pid, "start_ticks": 1} if up else None}


@pytest.fixture(autouse=True)
def agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent with one target of three workers, the first of which is down."""
    targets = [{"name": "shop", "workers": [worker("0", 7, up=False), worker("1", 8), worker("2", 9)]}]
    monkeypatch.setattr(attach, "ask", lambda *_: {"targets": targets})


def whom(place: str | None = None, pid: int | None = None) -> tuple[int, str | None]:
    """As the command takes it."""
    return attach._whom(argparse.Namespace(place=place, pid=pid), Settings())


def test_a_target_is_its_first_worker_that_is_up() -> None:
    """And a worker is that one; both bring the target's name."""
    assert whom("shop") == (8, "shop")
    assert whom("shop/2") == (9, "shop")


def test_a_pid_needs_no_agent() -> None:
    """And has no name but the program's."""
    assert whom(pid=4711) == (4711, None)


@pytest.mark.parametrize(
    ("place", "pid", "sentence"),
    [
        (None, None, "Say whom to attach to"),
        ("shop", 4711, "Say whom to attach to"),
        ("shpo", None, "no target `shpo`; it has: shop"),
        ("shop/0", None, "No worker of `shop/0` is up"),
        ("shop/9", None, "No worker of `shop/9` is up"),
    ],
)
def test_nobody(place: str | None, pid: int | None, sentence: str) -> None:
    """What there is not is said."""
    with pytest.raises(UsageError, match=sentence):
        whom(place, pid)
