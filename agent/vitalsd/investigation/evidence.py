"""Joins what observer, probe and stacks tell of one stall. Pure."""

from __future__ import annotations

import msgspec

from vitalsd.capture.stacks import Stacks
from vitalsd.model import HostEvidence, LoopVitals, Stall, StallEvidence, Verdict, WorkerSample

__all__ = ["is_guessed", "joined", "loop_of", "with_stacks"]


def joined(
    worker: WorkerSample, loop: str, stall: Stall, seen: StallEvidence | None, host: HostEvidence
) -> StallEvidence:
    """A stall as its probe tells it, with what the observer saw of it."""
    first = _first_seen(stall, seen)
    return StallEvidence(
        loop=loop,
        since=stall.since,
        seconds=stall.duration_seconds,
        in_progress=False,
        runtime=worker.probe.runtime if worker.probe is not None else "unknown",
        thread=seen.thread if seen is not None else None,
        host=host,
        turn=seen.turn if seen is not None else None,
        cpu_seconds=stall.cpu_seconds,
        gc_seconds=stall.gc_seconds,
        ready_callbacks=stall.ready_callbacks,
        stacks=first.stacks if first is not None else (),
        stack_after_seconds=first.stack_after_seconds if first is not None else None,
        no_stack_reason=seen.no_stack_reason if seen is not None and not stall.stacks else None,
        holder_stacks=seen.holder_stacks if seen is not None else (),
        probed=True,
    )


def _first_seen(stall: Stall, seen: StallEvidence | None) -> Stall | StallEvidence | None:
    """Of the probe and of py-spy, which name functions differently, whoever had a stack first."""
    if not stall.stacks or seen is None or not (seen.stacks or seen.holder_stacks):
        return stall if stall.stacks else seen
    probed, outside = stall.stack_after_seconds, seen.stack_after_seconds
    return seen if probed is not None and outside is not None and outside < probed else stall


def with_stacks(evidence: StallEvidence, stacks: Stacks) -> StallEvidence:
    """The evidence with what was seen from outside."""
    seen, holders = stacks.stacks or evidence.stacks, stacks.holders or evidence.holder_stacks
    return msgspec.structs.replace(
        evidence,
        stacks=seen,
        holder_stacks=holders,
        stack_after_seconds=stacks.after_seconds,
        heap_looks=stacks.heap_looks,
        heap_collecting=stacks.collecting,
        no_stack_reason=stacks.refusal if not (seen or holders) else None,
    )


def is_guessed(evidence: StallEvidence, verdict: Verdict) -> bool:
    """Whether only stacks say that it was one callback that computed."""
    computed = verdict.cause in ("blocking_cpu", "ready_flood", "microtask_flood")
    return computed and (evidence.turn is None or not evidence.turn.one_turn)


def loop_of(worker: WorkerSample, name: str) -> LoopVitals | None:
    """One loop as the probe tells of it."""
    loops = worker.probe.loops if worker.probe is not None else ()
    return next((loop for loop in loops if loop.name == name), None)
