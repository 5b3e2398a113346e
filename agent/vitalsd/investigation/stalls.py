"""
Follows each stall from the observer's first word to what detectors are told: has stacks taken, joins them with
what observer and probe tell, has the cause decided, and counts it.

A stall of a probed loop is counted when the probe's own ring of stalls tells of it, so none is missed or doubled;
what the observer saw of it is kept until then. One without a probe is counted when the observer has seen its end.

What lasts is told while it does, and stays what it was told to be: its looks may say something else by its end,
and one stall would be two incidents. So one whose cause cannot be told yet waits a little.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import msgspec

from vitalsd.capture.stacks import Late as LateThread
from vitalsd.capture.stacks import Stacks, StackSampler
from vitalsd.detect.cause import decide
from vitalsd.detect.words import of
from vitalsd.history.stalls import StallCounts
from vitalsd.investigation.case import Case, Told
from vitalsd.investigation.evidence import is_guessed, joined, loop_of, with_stacks
from vitalsd.model import (
    Cause,
    HostEvidence,
    LoopVitals,
    Stall,
    StallEvidence,
    Verdict,
    WorkerKey,
    WorkerSample,
    is_for_computing,
)
from vitalsd.sources.observer.events import Ended, Late
from vitalsd.sources.observer.observer import Observer

__all__ = ["IN_PROGRESS_SECONDS", "Stalls"]

IN_PROGRESS_SECONDS = 1.0
"""A stall that lasts this long is told before its end."""
UNKNOWN_SECONDS = 5.0
"""And one whose cause or culprit is not known by then, this long."""
WITH_CULPRIT: frozenset[Cause] = frozenset(
    {"blocking_cpu", "blocking_call", "disk_io", "lock_wait", "gil_contention", "page_faults"}
)


class Stalls:
    """Those of all workers, each in the case of its own."""

    def __init__(self, observer: Observer, sampler: StackSampler, counts: StallCounts) -> None:
        self._observer = observer
        self._sampler = sampler
        self._counts = counts
        self._own_pid = os.getpid()
        self.came_back: Callable[[WorkerKey, StallEvidence], None] = lambda _key, _evidence: None
        """Told of each stall that is over, as soon as that is seen."""

    def late(self, case: Case, event: Late) -> None:
        """Have stacks taken of a loop that is late, for as long as it is."""
        worker = case.samples[-1]
        if worker.probe is not None and is_for_computing(worker.probe.runtime, event.loop):
            return
        thread_id, name = self._thread_of(worker, event.loop)
        late = LateThread(key=event.key, thread_id=thread_id, since=event.since, thread_name=name)
        case.note_late(event.loop, late)
        self._sampler.late(late)

    def _thread_of(self, worker: WorkerSample, name: str) -> tuple[int, str]:
        loop = loop_of(worker, name)
        assert worker.key is not None
        if loop is not None and loop.thread_id:
            return loop.thread_id, loop.thread
        observed = self._observer.observed(worker.key)
        return (observed.thread_id if observed is not None else worker.key.pid), ""

    def ended(self, case: Case, event: Ended) -> None:
        """Keep what was seen of a stall for what its probe tells; without one, that is all there is to know."""
        evidence = with_stacks(event.evidence, self._stacks(case, event.evidence))
        if event.probed:
            case.note_seen(evidence)
            self.came_back(event.key, evidence)
            return
        evidence = msgspec.structs.replace(evidence, host=self._host(evidence, evidence.since, evidence.seconds))
        told = case.take_told(evidence.loop, evidence.since, evidence.seconds)
        verdict = _stays(told, decide(evidence))
        self._observer.settle(event.key, evidence.since, verdict.stall)
        worker = case.samples[-1]
        started_at = told.started_at if told is not None else _started_at(evidence.since)
        if verdict.stall:
            self._counts.add(worker.target, worker.slot, event.key, verdict.cause, evidence.seconds)
            case.last_stall_at = started_at + evidence.seconds
            if verdict.cause != "host_wide":
                self.came_back(event.key, evidence)
        case.told.append((evidence, verdict, started_at))

    def _stacks(self, case: Case, evidence: StallEvidence) -> Stacks:
        late = case.late.pop((evidence.loop, evidence.since), None)
        if late is None:
            return Stacks()
        return self._sampler.ended(late, evidence.since + evidence.seconds)

    def read_ring(self, case: Case, worker: WorkerSample, now: float) -> None:
        """
        Count and judge the stalls that the probe has told since the last round.

        Of a process that an earlier agent knew, those of while no agent was there too, as far as the ring has
        them. What is in it of one that nobody knew is of its past: the book has counted that as it is.
        """
        if worker.probe is None:
            return
        judged = self._counts.total(case.key)
        for loop in worker.probe.loops:
            newest = max((stall.number for stall in loop.recent_stalls), default=0)
            last = case.numbers.get(loop.name, judged)
            case.numbers[loop.name] = max(case.numbers.get(loop.name, 0), newest)
            if last is None:
                continue
            for stall in loop.recent_stalls:
                if stall.number > last:
                    self.judge_probed(case, worker, loop, stall, now)

    def judge_probed(self, case: Case, worker: WorkerSample, loop: LoopVitals, stall: Stall, now: float) -> None:
        """Count one that the probe has told."""
        seen = case.take_seen(loop.name, stall.since, stall.duration_seconds)
        assert worker.key is not None
        host = self._host(seen, stall.since, stall.duration_seconds)
        evidence = joined(worker, loop.name, stall, seen, host)
        told = case.take_told(loop.name, stall.since, stall.duration_seconds)
        verdict = _stays(told, self._decide(worker.key, evidence))
        self._counts.add(worker.target, worker.slot, worker.key, verdict.cause, evidence.seconds)
        if is_for_computing(evidence.runtime, loop.name):
            return
        case.last_stall_at = min(now, stall.ended_at)
        started_at = told.started_at if told is not None else stall.ended_at - stall.duration_seconds
        case.told.append((evidence, verdict, started_at))

    def _host(self, seen: StallEvidence | None, since: float, seconds: float) -> HostEvidence:
        """What the host told, and by how much the agent was late meanwhile, which may be why nobody looked."""
        host = seen.host if seen is not None else HostEvidence()
        if self._observer.stood_still(since, since + seconds):
            return msgspec.structs.replace(host, agent_late_seconds=0.0)
        late = max(host.agent_late_seconds, self._observer.late_seconds(since, since + seconds))
        return msgspec.structs.replace(host, agent_late_seconds=late)

    def _decide(self, key: WorkerKey, evidence: StallEvidence) -> Verdict:
        """The cause; of the agent's own stalls it is no witness, where it could not look."""
        verdict = decide(evidence)
        if verdict.cause != "host_wide" or key.pid != self._own_pid:
            return verdict
        late = of(evidence.host.agent_late_seconds, evidence.seconds)
        why = "it was stopped, had no processor, or the whole host stood still"
        return Verdict("unknown", None, f"the agent itself did not run for {late}, and cannot say why: {why}")

    def in_progress(self, case: Case, worker: WorkerSample) -> None:
        """Judge a long stall before its end, by what is known so far."""
        for judged, verdict in self.going_on(case, worker):
            told = case.told_as.get((judged.loop, judged.since))
            early = told is None and judged.seconds < UNKNOWN_SECONDS
            if early and verdict.stall and _may_be_known(judged, verdict):
                continue
            if worker.probe is None:
                self._observer.settle(case.key, judged.since, verdict.stall)
            started_at = told.started_at if told is not None else _started_at(judged.since)
            if verdict.stall:
                first = told.verdict if told is not None else verdict
                case.note_told(judged, Told(first, started_at, judged.seconds))
            case.told.append((judged, verdict, started_at))

    def going_on(self, case: Case, worker: WorkerSample) -> Iterator[tuple[StallEvidence, Verdict]]:
        """Those that last for long already, with their stacks and what they come to so far."""
        assert worker.key is not None
        for evidence in self._observer.in_progress(worker.key):
            if evidence.seconds < IN_PROGRESS_SECONDS or is_for_computing(evidence.runtime, evidence.loop):
                continue
            late = case.late.get((evidence.loop, evidence.since))
            stacks = self._sampler.seen(late) if late is not None else Stacks()
            loop = loop_of(worker, evidence.loop)
            if not stacks.stacks and loop is not None and loop.current_stall is not None:
                stacks = Stacks(loop.current_stall.stacks)
            judged = msgspec.structs.replace(
                with_stacks(evidence, stacks),
                probed=worker.probe is not None,
                host=self._host(evidence, evidence.since, evidence.seconds),
            )
            told = case.told_as.get((judged.loop, judged.since))
            verdict = _stays(told, self._decide(worker.key, judged))
            if told is None and worker.probe is None and verdict.stall and is_guessed(judged, verdict):
                continue  # it may be a loop that is never idle: at its end more is known
            yield judged, verdict


def _started_at(since: float) -> float:
    """Unix time of a moment of CLOCK_MONOTONIC, as the clock is now: to be asked once, since it may be set."""
    return time.time() - (time.monotonic() - since)


def _stays(told: Told | None, now: Verdict) -> Verdict:
    """The verdict that a stall was told with, where it was; what its looks say by now is added to the reason."""
    first = told.verdict if told is not None else now
    if (now.stall, now.cause, _function(now)) == (first.stall, first.cause, _function(first)):
        return now
    return msgspec.structs.replace(first, reason=f"{first.reason}; of all of it: {now.reason}")


def _function(verdict: Verdict) -> tuple[str, str] | None:
    """Whom it blames; the line moves while a function runs."""
    return (verdict.culprit.file, verdict.culprit.function) if verdict.culprit is not None else None


def _may_be_known(evidence: StallEvidence, verdict: Verdict) -> bool:
    """Whether more looks, or a stack that is being taken, may tell the cause or the culprit."""
    if verdict.cause == "unknown":
        return True
    seen = evidence.stacks or evidence.holder_stacks or evidence.no_stack_reason is not None
    return verdict.cause in WITH_CULPRIT and verdict.culprit is None and not seen
