"""
Which stalls are not held against a process: those that are nobody's fault in its code. Pure.

The host's are told and not judged, or every neighbour of a shared runner would fail the build: unless what the
process computed meanwhile is a stall by itself. So is what keeps no one waiting, as the agent has it too. A server
imports its application in its loop before it listens: while it is young, time in imports is its start.
"""

from __future__ import annotations

from vitalsd.budget.own import OUTSIDE, own_seconds
from vitalsd.detect.culprit import callback
from vitalsd.detect.stall import StallBounds, idles
from vitalsd.model import Cause, Stack, StallEvidence, Verdict

__all__ = ["STARTING_SECONDS", "pardon"]

STARTING_SECONDS = 10.0
IMPORTS = "<frozen importlib._bootstrap"
MODULE = "<module>"
MOST = 0.5
"""Of the samples of a stall."""
WHY: dict[Cause, str] = {
    "host_wide": "the whole host stood still",
    "cpu_contention": "other processes had the CPU",
    "cpu_throttled": "the CPU quota was used up",
    "stopped": "the process was stopped",
}


def pardon(
    evidence: StallEvidence, verdict: Verdict, began_seconds: float, after_seconds: float, bounds: StallBounds
) -> str:
    """Why it is not judged, of a process that was `began_seconds` old; nothing where it is."""
    if not verdict.stall:
        return f"it was no stall: {verdict.reason}"
    if began_seconds < after_seconds:
        return f"it began in the first {after_seconds:g} s of its process"
    if verdict.cause in OUTSIDE and own_seconds(evidence, verdict) <= bounds.threshold_seconds:
        return WHY[verdict.cause]
    if began_seconds < STARTING_SECONDS and _imports(evidence):
        return "the process was starting: it imported modules"
    if idles((evidence, verdict, 0.0), bounds):
        return "its loop had next to nothing to do"
    return ""


def _imports(evidence: StallEvidence) -> bool:
    total = sum(stack.samples for stack in evidence.stacks)
    importing = sum(stack.samples for stack in evidence.stacks if _imports_in_loop(stack))
    return total > 0 and importing > MOST * total


def _imports_in_loop(stack: Stack) -> bool:
    """What is further out than the loop does not count: a service may run below an import for all of its life."""
    called = callback(stack)
    if len(called) == len(stack.frames) and called and called[-1].function == MODULE:
        return False  # the script itself: where in between a loop that is written in C begins is not to be seen
    return any(frame.file.startswith(IMPORTS) for frame in called)
