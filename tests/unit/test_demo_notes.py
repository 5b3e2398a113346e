"""What the demo at a terminal finds worth a line."""

from __future__ import annotations

from typing import Any

from vitalsd.demo.notes import MEBIBYTE, Notes


def worker(pid: int = 10, stalls: tuple[dict[str, Any], ...] = (), **probe: Any) -> dict[str, Any]:
    """A worker in slot 0 as the API tells of it, calm unless said otherwise."""
    calm = {"unhandled_errors": [0, 0, 0, 0, 0, None, None], "tasks": 3, "heap_used_bytes": 20 * MEBIBYTE}
    pool = {"executor_threads": 4, "executor_busy": 0, "executor_queued": 0}
    loops = [{"name": "main", "recent_stalls": list(stalls)}]
    return {
        "target": "shop",
        "slot": "0",
        "up": True,
        "key": {"pid": pid},
        "probe": calm | pool | {"loops": loops} | probe,
    }


def stall(ended_at: str, *functions: str) -> dict[str, Any]:
    """A stall with one stack, innermost first."""
    frames = [{"function": function, "file": "shop.py", "line": 1} for function in functions]
    return {"ended_at": ended_at, "duration_seconds": 1.0, "stacks": [{"samples": 3, "frames": frames}]}


def test_a_stall_is_told_once() -> None:
    """The function that blocks is named, and the same stall is no news at the next look."""
    notes = Notes([worker()])
    stalled = worker(stalls=(stall("2026-07-01T12:00:00.000Z", "parse", "handle"),))

    assert notes.look([stalled]) == ["shop/0 stalled for 1.00 s in parse()"]
    assert notes.look([stalled]) == []


def test_what_was_before_is_no_news() -> None:
    """Stalls, errors and sizes from before the first look are told by nobody."""
    notes = Notes([worker(stalls=(stall("2026-07-01T12:00:00.000Z", "parse"),), tasks=9_000)])

    assert notes.look([worker(stalls=(stall("2026-07-01T12:00:00.000Z", "parse"),), tasks=9_000)]) == []


def test_a_replaced_worker_starts_anew() -> None:
    """The replacement is told, and its own small counters are no step down or up."""
    notes = Notes([worker(tasks=9_000, unhandled_errors=[7, 0, 0, 0, 0, None, None])])

    assert notes.look([worker(pid=11)]) == ["shop/0 was replaced: process 11 in the place of 10"]
    assert notes.look([worker(pid=11, unhandled_errors=[2, 1, 0, 0, 0, None, None])]) == [
        "shop/0 has more errors that nobody handled, by channel: task 2, coroutine 1"
    ]


def test_slots_of_two_services_are_not_taken_for_each_other() -> None:
    """Each worker is told by target and slot, and has a past of its own."""
    notes = Notes([worker(), worker(pid=20) | {"target": "pages"}])

    assert notes.look([worker(tasks=600), worker(pid=20) | {"target": "pages"}]) == [
        "shop/0 has ever more tasks: 600"
    ]


def test_growth_is_told_by_the_step() -> None:
    """Small growth stays silent and adds up; a size that falls is measured from there."""
    notes = Notes([worker()])

    assert notes.look([worker(heap_used_bytes=40 * MEBIBYTE)]) == []
    assert notes.look([worker(heap_used_bytes=52 * MEBIBYTE)]) == [
        "shop/0 has a heap of 52 MiB, 32 MiB more than before"
    ]
    assert notes.look([worker(heap_used_bytes=10 * MEBIBYTE)]) == []
    assert notes.look([worker(heap_used_bytes=42 * MEBIBYTE)]) == [
        "shop/0 has a heap of 42 MiB, 32 MiB more than before"
    ]


def test_what_is_not_known_is_not_told() -> None:
    """A worker that is down, one without a probe, and a number that is unknown make no line and no error."""
    notes = Notes([worker()])
    down = worker() | {"up": False, "key": None}

    assert notes.look([down]) == []
    assert notes.look([worker() | {"probe": None}]) == []
    assert notes.look([worker(tasks=None, heap_used_bytes=None)]) == []
