"""What `vitalsd status` says of captures."""

from __future__ import annotations

from typing import Any

from vitalsd.cli.underway import capture_lines

NOW = 1_782_907_200.0
LATELY, YESTERDAY = "2026-07-01T11:50:00.000Z", "2026-06-30T11:50:00.000Z"


def capture(**more: Any) -> dict[str, Any]:
    """As the API tells it."""
    known = {
        "target": "shop",
        "worker": "0",
        "kind": "cpu",
        "state": "done",
        "asked_by": "incident",
        "asked_at": LATELY,
    }
    known |= {"started_at": LATELY, "ended_at": None, "problem": None, "refusal": None}
    return {**known, "pid": 4711, "retry_after_seconds": None, **more}


def test_nothing_to_say() -> None:
    """What was yesterday is nobody's present."""
    assert not list(capture_lines([], [], 6, NOW))
    old = capture(state="refused", asked_at=YESTERDAY, started_at=None, problem="too soon")
    assert not list(capture_lines([old, capture(asked_at=YESTERDAY, started_at=YESTERDAY)], [], 6, NOW))


def test_the_policy_is_told() -> None:
    """What runs, what the hour has had, and the latest refusal where nothing was taken since."""
    running = capture(kind="memory", state="running")
    look = capture(kind="stacks", asked_by="person")
    waits = capture(kind="heap", worker="1", state="waiting", started_at=None, waits_for="for capture 1n4 to end")
    refused = capture(kind="heap", state="refused", started_at=None, problem="too little is left")
    over = capture(state="refused", started_at=None, problem="too soon")
    lines = list(capture_lines([running, waits, refused, look, capture(), over], [], 6, NOW))
    assert lines == [
        "capture: memory of shop/0: running",
        "capture: heap of shop/1: waiting for capture 1n4 to end",
        "captures: 2 of at most 6 in an hour (capture.per_hour), and 1 of stacks by people",
        "capture refused: heap of shop/0, 10m00s ago: too little is left",
    ]


def test_a_storm_is_a_few_lines() -> None:
    """Fifty workers that were refused do not push the rest off the screen."""
    many = [capture(worker=str(number), state="refused", started_at=None, problem="no") for number in range(50)]
    lines = list(capture_lines(many, [], 6, NOW))
    assert len(lines) == 6
    assert lines[-1] == "and 45 more: vitalsd captures"


def test_a_refusal_of_who_is_stopped_goes_with_that() -> None:
    """What is no longer true is said of no process that runs again, and of none that has taken its place."""
    problem = "process 4711 is stopped, and left alone until it goes on"
    refused = capture(state="refused", started_at=None, problem=problem, refusal="stopped")

    def told(pid: int, state: str) -> list[str]:
        worker = {"up": True, "process": {"state": state}, "key": {"pid": pid}}
        return list(capture_lines([refused], [{"name": "shop", "workers": [worker]}], 6, NOW))

    assert told(4711, "T") == [f"capture refused: cpu of shop/0, 10m00s ago: {problem}"]
    assert told(4711, "S") == told(4712, "T") == []


def refused(rest: float | None, **more: Any) -> list[str]:
    """What is said of a refusal of ten minutes ago, which says that it holds for so long from now on."""
    seconds = None if rest is None else 600 + rest
    known = {"refusal": "cooldown", "problem": "the last was capture 1n4", "retry_after_seconds": seconds}
    one = capture(**{"state": "refused", "started_at": None, "ended_at": LATELY, **known, **more})
    return list(capture_lines([one], [], 6, NOW))


def test_a_refusal_is_told_as_long_as_it_holds() -> None:
    """With the time that is left now, and not the one that was left then; and how one is had at once."""
    before = "capture refused: cpu of shop/0, 10m00s ago: the last was capture 1n4: "
    assert refused(65.0, asked_by="person") == [f"{before}ask again in 1m5s, or now with --force"]
    itself = (
        "the next by itself is due in 1m5s at the earliest; `vitalsd capture cpu shop/0 --force` takes one now"
    )
    assert refused(65.0) == [before + itself]
    assert refused(65.0, refusal="breaker", asked_by="person") == [f"{before}ask again in 1m5s"]
    assert refused(0.0) == refused(-30.0) == refused(-30.0, refusal="breaker") == []
    assert refused(None, refusal="budget") == [before.removesuffix(": ")]
