"""
What of a stall is the process's own: its length without what the host had it wait. Pure.

A runner that is shared, or a load generator on the same processors, makes any stall longer, and none good that
is too long by itself. What a thread has computed is its own, whatever went on beside it. Where it was not the host
that made the stall, all of it is, but for the time that the thread was counted as ready and without a processor.
"""

from __future__ import annotations

import msgspec

from vitalsd.detect.cause import decide
from vitalsd.model import OF_THE_HOST, Cause, HostEvidence, StallEvidence, Verdict

__all__ = ["OUTSIDE", "own_seconds", "own_verdict"]

OUTSIDE: frozenset[Cause | None] = frozenset((*OF_THE_HOST, "cpu_throttled", "stopped"))
"""Causes that are nobody's fault in the code of the process."""
MOST_OF_IT = 0.5
"""Of a stall: what /proc told of so much of it holds for all of it."""


def own_seconds(evidence: StallEvidence, verdict: Verdict) -> float:
    """How long it would have been on a host that has a processor for it."""
    seconds = evidence.seconds
    computed = min(seconds, _computed(evidence))
    if verdict.cause in OUTSIDE:
        return computed
    thread = evidence.thread
    if thread is None or thread.runqueue_seconds is None or thread.seconds < MOST_OF_IT * seconds:
        return seconds
    waited = min(1.0, max(0.0, thread.runqueue_seconds / thread.seconds)) if thread.seconds > 0 else 0.0
    return max(computed, seconds * (1.0 - waited))


def own_verdict(evidence: StallEvidence, verdict: Verdict, seconds: float) -> Verdict:
    """Why it was late for so long by itself, where the host made it longer: by what it computed."""
    alone = msgspec.structs.replace(
        evidence, seconds=seconds, cpu_seconds=seconds, thread=None, host=HostEvidence()
    )
    own = decide(alone)
    return msgspec.structs.replace(own, reason=f"{own.reason}; beside that, {verdict.reason}", stall=True)


def _computed(evidence: StallEvidence) -> float:
    if evidence.cpu_seconds is not None:
        return max(0.0, evidence.cpu_seconds)
    thread = evidence.thread
    return max(0.0, thread.cpu_seconds or 0.0) if thread is not None else 0.0
