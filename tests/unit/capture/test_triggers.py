"""Which incident asks for which capture, and when."""

from __future__ import annotations

from typing import Any

import pytest

from vitalsd.capture.triggers import STALLS, TRIGGERS, triggered
from vitalsd.detect.holds import HELD
from vitalsd.model import Incident


def incident(kind: str, **more: Any) -> Incident:
    """One of the shop's."""
    known: dict[str, Any] = {
        "id": "0abc",
        "kind": kind,
        "target": "shop",
        "worker": "0",
        "severity": "critical",
        "state": "open",
        "opened_at": 0.0,
        "resolved_at": None,
        "cause": None,
        "culprit": None,
        "summary": "",
        "evidence": {},
    }
    return Incident(**(known | more))


def asked(one: Incident, *, late: bool = False) -> list[str]:
    """The kinds of what it asks for."""
    return [trigger.kind for trigger in triggered(one, late=late)]


@pytest.mark.parametrize(
    ("kind", "captures"),
    [
        ("growth", ["memory", "heap"]),
        ("leak", ["memory", "heap"]),
        ("exhaustion", ["memory", "heap"]),
        ("heap_exhaustion", ["heap", "memory"]),
        ("task_leak", ["stacks", "heap"]),
        ("thread_leak", ["stacks"]),
        ("fd_leak", ["stacks"]),
        ("pool_saturation", ["stacks"]),
        ("starvation", ["cpu"]),
        ("gc_pressure", ["heap"]),
        ("worker_hung", ["stacks"]),
        ("error_surge", []),
        ("fragmentation", []),
        ("capture_harmful", []),
    ],
)
def test_kind(kind: str, captures: list[str]) -> None:
    """Each kind asks for what tells more of it, and nothing asks where no capture would."""
    assert asked(incident(kind)) == captures


def test_stall_in_progress() -> None:
    """All threads are looked at while the loop does not come back, and not afterwards."""
    one = incident("stall", cause="blocking_call")
    assert asked(one, late=True) == ["stacks"]
    assert asked(one, late=False) == []


def test_stall_again_and_again() -> None:
    """A profile is for what computes, and recurs: one stall has its stacks, and what waits shows in none."""
    assert asked(incident("stall", cause="blocking_cpu", count=STALLS - 1)) == []
    assert asked(incident("stall", cause="blocking_cpu", count=STALLS)) == ["cpu"]
    assert asked(incident("stall", cause="disk_io", count=100)) == []
    assert asked(incident("stall", cause=None, count=STALLS)) == ["cpu"]


def test_nothing_of_what_a_capture_has_done() -> None:
    """A capture that holds the service is no reason for another."""
    assert asked(incident("stall", fault=HELD, count=100), late=True) == []


@pytest.mark.parametrize("kind", TRIGGERS)
def test_nothing_of_what_is_over(kind: str) -> None:
    """An incident that is resolved asks for nothing, nor does one that is of no worker."""
    over = incident(kind, state="resolved", count=100)
    assert asked(over, late=True) == asked(incident(kind, worker="", count=100), late=True) == []
