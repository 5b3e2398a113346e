"""Parts of a run as `vitalsd budget` judges it, with what a test is not about filled in."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from vitalsd.budget.model import Errors, Growth, LoopRun, ProcessRun, Run, RunStall
from vitalsd.model import Cause, Frame, Histogram, Stack, StallEvidence, Verdict
from vitalsd.probe.python.layout import DELAY_BOUNDS_SECONDS, DELAY_INTERVAL_SECONDS
from vitalsd.segment.delay import cumulative

__all__ = ["delays", "errors", "grown", "loop", "process", "run", "stall"]

PARSE = Frame("parse", "/srv/app/parsing.py", 12)


def delays(*stretches: float, seconds: float = 10.0) -> Histogram:
    """Of so much time, in which a loop was busy for each of these stretches."""
    at_most = [seconds - sum(max(0.0, stretch - bound) for stretch in stretches) for bound in DELAY_BOUNDS_SECONDS]
    each = (later - earlier for earlier, later in pairwise((0.0, *at_most, seconds)))
    waits = sum(stretch * stretch / 2 for stretch in stretches)
    return Histogram(DELAY_BOUNDS_SECONDS, cumulative(each), waits / DELAY_INTERVAL_SECONDS)


def stall(
    seconds: float,
    *,
    cause: Cause = "blocking_cpu",
    culprit: Frame | None = PARSE,
    pardon: str = "",
    loop: str = "main",
    in_progress: bool = False,
) -> RunStall:
    """One that began five seconds after CLOCK_MONOTONIC did."""
    stacks = (Stack(3, (culprit,)),) if culprit is not None else ()
    evidence = StallEvidence(loop, 5.0, seconds, in_progress, "python", stacks=stacks, probed=True)
    return RunStall(evidence, Verdict(cause, culprit, "so it was seen"), 1_700_000_000.0, pardon)


def loop(*stalls: RunStall, name: str = "main", **more: Any) -> LoopRun:
    """A loop that was busy for these and nothing else."""
    delay = more.pop("delay", None) or delays(*(one.seconds for one in stalls if not one.pardon))
    return LoopRun(name, "a thread", delay, stalls, **more)


def process(*loops: LoopRun, name: str = "uvicorn app:app", **more: Any) -> ProcessRun:
    """One with a probe."""
    given = {"runtime": "python", "version": "3.11.7", "lived_seconds": 20.0, **more}
    return ProcessRun(name=name, pid=7, loops=loops, **given)


def grown(before_bytes: int, after_bytes: int) -> Growth:
    """Between its fifth second and its nineteenth."""
    return Growth("heap in use", before_bytes, after_bytes, 5.0, 19.0)


def errors(count: int, channel: str = "task") -> Errors:
    """All of one kind."""
    return Errors(channel, count, "ValueError", (PARSE,))


def run(*processes: ProcessRun, exit_code: int = 0, problem: str = "") -> Run:
    """One that took twenty seconds."""
    return Run("sh load.sh", 1_700_000_000.25, 20.0, exit_code, processes, problem)
