"""
What a bench of stalls makes of what a scenario wrote down and of what the agent told. Pure.

A stall is found when the agent tells of one that overlaps it. Its length is what the agent says; its cause and its
culprit those of the incident that holds it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["Score", "judge"]

SHORTEST_SECONDS = 0.1
STACK_OF_SECONDS = 0.3


@dataclass
class Told:
    """One stall as the agent tells it."""

    began: float
    seconds: float
    cause: str
    culprit: str | None
    stack_after: float | None


@dataclass
class Score:
    """How one scenario came out, one way in."""

    truths: int = 0
    found: int = 0
    causes: int = 0
    culprits: int = 0
    culprits_asked: int = 0
    stacks: int = 0
    stacks_asked: int = 0
    stack_ages: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    mistaken: list[str] = field(default_factory=list)
    incidents: int = 0
    healthy: int = 0
    """How often it was told to be healthy."""
    unhealthy: list[str] = field(default_factory=list)
    withheld_share: float = 0.0
    """Of the time, how much the service was ready to run and others had the processors."""


def judge(truths: list[dict[str, Any]], incidents: list[dict[str, Any]], within: float | None) -> Score:
    """The score of one scenario; a stall may be `within` old when its stack is taken, None where none is asked."""
    shift = time.time() - time.monotonic()
    told = [
        Told(
            _unix(stall["started_at"]) - shift,
            stall["duration_seconds"],
            stall["cause"],
            _name(incident),
            stall.get("stack_after_seconds"),
        )
        for incident in incidents
        if incident["kind"] == "stall" and incident["target"] == "bench"
        for stall in incident["evidence"]["stalls"]
    ]
    score = Score()
    mine = [incident for incident in incidents if incident["target"] == "bench"]
    score.incidents = len(mine)
    for truth in truths:
        if truth["seconds"] < SHORTEST_SECONDS:
            continue
        score.truths += 1
        fitting = [one for one in told if _overlap(one, truth) > 0.5 * min(one.seconds, truth["seconds"])]
        if not fitting:
            continue
        best = max(fitting, key=lambda one: _overlap(one, truth))
        score.found += 1
        score.errors.append(abs(best.seconds - truth["seconds"]))
        if best.cause == truth["cause"]:
            score.causes += 1
        else:
            score.mistaken.append(best.cause)
        if within is not None and truth["seconds"] >= STACK_OF_SECONDS:
            # The agent's idea of the beginning may be late; the stall's own is not.
            late = best.began - truth["began"]
            age = best.stack_after + max(0.0, late) if best.stack_after is not None else None
            score.stacks_asked += 1
            score.stacks += age is not None and age <= within
            score.stack_ages += [age] if age is not None else []
        if truth["culprit"] is not None:
            score.culprits_asked += 1
            score.culprits += best.culprit == truth["culprit"]
            if best.culprit != truth["culprit"]:
                score.mistaken.append(f"({best.culprit})")
    if not truths:
        score.mistaken = [f"{one['kind']}:{one['cause']}" for one in mine]
    return score


def _overlap(told: Told, truth: dict[str, Any]) -> float:
    end_of = min(told.began + told.seconds, truth["began"] + truth["seconds"])
    return float(end_of - max(told.began, truth["began"]))


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _name(incident: dict[str, Any]) -> str | None:
    culprit = incident["culprit"]
    return culprit["function"].rpartition(".")[2] if culprit else None
