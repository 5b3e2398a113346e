"""A report as one JSON document, with the words of the API. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from vitalsd.budget.delay import quantile_bounds
from vitalsd.budget.model import Check, Errors, Limits, LoopRun, NotMeasured, ProcessRun, Report, RunStall
from vitalsd.detect.culprit import stacks_as_evidence
from vitalsd.incidents.wording import sound, sound_frame
from vitalsd.model import Frame
from vitalsd.times import rfc3339

__all__ = ["document"]

MOST_STALLS = 20
"""Of a loop, the longest."""


def document(report: Report, limits: Limits) -> bytes:
    """The whole report."""
    run = report.run
    whole = {
        "outcome": report.outcome,
        "exit_code": report.exit_code,
        "command": {
            "command": sound(run.command),
            "exit_code": run.exit_code,
            "started_at": rfc3339(run.started_at),
            "duration_seconds": round(run.seconds, 3),
        },
        "limits": {name: value for name, value in msgspec.structs.asdict(limits).items() if value is not None},
        "problem": sound(run.problem) or None,
        "checks": [_check(check) for check in report.checks],
        "processes": [_process(process) for process in run.processes],
    }
    return msgspec.json.format(msgspec.json.encode(_sound(whole)), indent=2) + b"\n"


def _check(check: Check) -> dict[str, Any]:
    return {
        "budget": check.budget,
        "limit": check.limit,
        "process": check.process or None,
        "outcome": check.outcome,
        "counts": check.counts,
        "sentence": check.sentence,
        "value": check.value,
        "cause": check.cause,
        "culprit": _frame(check.culprit),
        "stacks": list(check.stacks),
    }


def _process(process: ProcessRun) -> dict[str, Any]:
    growth = process.growth
    if isinstance(growth, NotMeasured):
        grown: dict[str, Any] = {"missing": growth.reason}
    else:
        grown = {**msgspec.structs.asdict(growth), "grown_bytes": growth.grown_bytes}
    return {
        "name": process.name,
        "pid": process.pid,
        "runtime": process.runtime,
        "version": process.version,
        "lived_seconds": round(process.lived_seconds, 3),
        "left_out": process.pardon or None,
        "problems": [process.unread, *process.problems] if process.unread else list(process.problems),
        "loops": [_loop(loop) for loop in process.loops],
        "growth": grown,
        "unhandled_errors": None if process.errors is None else [_error(one) for one in process.errors],
    }


def _error(error: Errors) -> dict[str, Any]:
    return {
        "channel": error.channel,
        "count": error.count,
        "type": error.type,
        "frames": [_frame(frame) for frame in error.frames],
    }


def _loop(loop: LoopRun) -> dict[str, Any]:
    bounds = quantile_bounds(loop.delay, 0.99)
    finite = bounds is not None and bounds[1] != float("inf")
    return {
        "loop": loop.name,
        "thread": loop.thread,
        "p99_above_seconds": bounds[0] if bounds is not None else None,
        "p99_at_most_seconds": bounds[1] if bounds is not None and finite else None,
        "delay": {
            "le": [*(f"{bound:g}" for bound in loop.delay.bounds), "+Inf"],
            "buckets": list(loop.delay.buckets),
        },
        "stalls_all_known": loop.lost == 0,
        "stalls": [_stall(stall) for stall in loop.stalls[:MOST_STALLS]],
    }


def _stall(stall: RunStall) -> dict[str, Any]:
    evidence = stall.evidence
    return {
        "started_at": rfc3339(stall.started_at),
        "duration_seconds": round(evidence.seconds, 3),
        "own_seconds": round(stall.seconds, 3),
        "in_progress": evidence.in_progress,
        "cause": stall.verdict.cause,
        "reason": stall.verdict.reason,
        "culprit": _frame(stall.verdict.culprit),
        "left_out": stall.pardon or None,
        "stacks": stacks_as_evidence(evidence.holder_stacks or evidence.stacks),
        "no_stack_reason": evidence.no_stack_reason,
    }


def _frame(frame: Frame | None) -> dict[str, Any] | None:
    sound_one = sound_frame(frame)
    return msgspec.structs.asdict(sound_one) if sound_one is not None else None


def _sound(value: Any) -> Any:
    """The same with every text on one line, and without what would not be JSON."""
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, dict):
        return {name: _sound(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(one) for one in value]
    return value
