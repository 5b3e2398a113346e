"""What `vitalsd status` says of captures: which are under way, what the hour has had, what is refused and why.

A refusal whose time is over is told no more, and of all others how long ago that was: they are of that moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from vitalsd.capture.model import ACTIVE
from vitalsd.capture.policy import uses_budget
from vitalsd.cli.captured import where
from vitalsd.cli.figures import plain
from vitalsd.cli.moments import short
from vitalsd.cli.refused import advice, rest_seconds
from vitalsd.model import STOPPED

__all__ = ["LISTED", "capture_lines"]

LISTED = 200
HOUR_SECONDS = 3600.0
MOST_SHOWN = 5


def capture_lines(
    captures: Sequence[Mapping[str, Any]], targets: Iterable[Mapping[str, Any]], per_hour: int, now: float
) -> Iterator[str]:
    """Lines for people; none where nothing was captured or refused in the last hour. Latest asked for first."""
    for each in captures:
        if each["state"] in ACTIVE:
            why = f" {plain(each['waits_for'])}" if each.get("waits_for") else ""
            yield f"capture: {each['kind']} of {where(each)}: {each['state']}{why}"
    begun = [each for each in captures if _age(each["started_at"], now) < HOUR_SECONDS]
    counted = sum(uses_budget(each["kind"], each["asked_by"]) for each in begun)
    if begun:
        others = f", and {len(begun) - counted} of stacks by people" if counted < len(begun) else ""
        yield f"captures: {counted} of at most {per_hour} in an hour (capture.per_hour){others}"
    latest: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for each in captures:
        latest.setdefault((each["target"], each["worker"], each["kind"]), each)
    stopped = set(_stopped(targets))
    refused = [
        each
        for each in latest.values()
        if each["state"] == "refused"
        and _age(each["asked_at"], now) < HOUR_SECONDS
        and rest_seconds(each, now) != 0
        and (each["refusal"] != "stopped" or (each["target"], each["pid"]) in stopped)
    ]
    for each in refused[:MOST_SHOWN]:
        again = advice(each, now)
        why = plain(each["problem"] or "it does not say why").rstrip(".")
        ago = f"{short(_age(each['asked_at'], now))} ago"
        yield f"capture refused: {each['kind']} of {where(each)}, {ago}: {why}" + (f": {again}" if again else "")
    if len(refused) > MOST_SHOWN:
        yield f"and {len(refused) - MOST_SHOWN} more: vitalsd captures"


def _stopped(targets: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    """Target and pid of those that are stopped now: of all others it is no longer true."""
    for target in targets:
        for worker in target["workers"]:
            process = worker["process"]
            if worker["up"] and process is not None and process["state"] in STOPPED:
                yield target["name"], worker["key"]["pid"]


def _age(moment: str | None, now: float) -> float:
    return float("inf") if moment is None else abs(now - datetime.fromisoformat(moment).timestamp())
