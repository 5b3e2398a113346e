"""
Follows each stall from the observer's first word to a finding: joins what the observer, the probe and the stacks
tell of it, has the cause decided, counts it, and asks the detectors.

A stall of a probed loop is counted when the probe's own ring of stalls tells of it, so none is missed or doubled;
what the observer saw of it is kept until then. One without a probe is counted when the observer has seen its end.
A worker that the observer tells of is judged at once, and again each second while its loop is late: rounds of
sampling may be far apart. All of it runs in the agent's loop, in well under a millisecond a round.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from vitalsd.capture.census import socket_of
from vitalsd.capture.census_policy import CensusPolicy
from vitalsd.capture.growth import GrowthCensuses, Topic
from vitalsd.capture.stacks import Late as LateThread
from vitalsd.capture.stacks import Stacks, StackSampler
from vitalsd.detect.cause import decide
from vitalsd.detect.growth.book import GrowthBook
from vitalsd.detect.registry import Seen, ToldStall, find_all, judge_all, make_detectors
from vitalsd.history.past import Past, spans_of
from vitalsd.history.recent import SPACING_SECONDS, WINDOW_SECONDS
from vitalsd.incidents.book import Book
from vitalsd.model import (
    Finding,
    HostEvidence,
    LoopVitals,
    RuleState,
    Stall,
    StallEvidence,
    TargetSnapshot,
    Verdict,
    WorkerKey,
    WorkerSample,
)
from vitalsd.settings.model import Settings
from vitalsd.sources.descriptors import descriptor_kinds
from vitalsd.sources.observer.events import Ended, Followed, Late
from vitalsd.sources.observer.observer import Observer
from vitalsd.sources.threadnames import thread_names
from vitalsd.targets.finder import Found

__all__ = ["Investigation"]

HELP_AFTER_SECONDS = 0.005
"""A probe that is not at rest takes its first stack 80 ms into a stall, the observer tells of it after 82 ms."""
IN_PROGRESS_SECONDS = 1.0
"""A stall that lasts this long is told before its end."""
ENDED_SECONDS = 0.3
"""So long after a stall its probe has told it, on a disk too; several in a row are judged at once."""
KEPT = 256
PROC = Path("/proc")
COUNTS: dict[Topic, Callable[[WorkerKey], Mapping[str, int]]] = {
    "descriptors": lambda key: descriptor_kinds(PROC, key.pid),
    "threads": lambda key: thread_names(PROC, key.pid),
}
"""What is counted from outside."""


class Case(msgspec.Struct):
    """One worker under observation."""

    key: WorkerKey
    since: float
    """Unix time at which it was first seen."""
    samples: deque[WorkerSample]
    numbers: dict[str, int]
    """Loop -> the number of the last of its stalls that was counted."""
    seen: dict[tuple[str, float], StallEvidence]
    """What the observer saw of stalls that their probe has not told yet."""
    late: dict[tuple[str, float], LateThread]
    """Stalls in progress whose stacks are being taken from outside."""
    told: list[ToldStall]
    turning: ToldStall | None = None
    """What looked like a stall last, and was none."""
    last_stall_at: float | None = None


class Investigation:
    """All workers' cases."""

    def __init__(
        self,
        observer: Observer,
        sampler: StackSampler,
        book: Book,
        reread: Callable[[str, str], WorkerSample | None],
        growth: GrowthBook,
        settings: Settings,
    ) -> None:
        self._observer = observer
        self._reread = reread
        self._sampler = sampler
        self._book = book
        self._cases: dict[tuple[str, str], Case] = {}
        self._by_key: dict[WorkerKey, tuple[str, str]] = {}
        self._next: dict[WorkerKey, asyncio.TimerHandle] = {}
        self._growth = growth
        self._spans = spans_of(settings)
        self._pasts: dict[tuple[str, str], Past] = {}
        """By target and slot, for as long as the slot is there: its next worker is measured by those before."""
        self._sockets: dict[WorkerKey, Path] = {}
        policy = CensusPolicy(lambda key: bool(observer.in_progress(key)))
        self.censuses = GrowthCensuses(self._socket_of, policy, settings.capture.census_interval, COUNTS)
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """Judge by these bounds from now on."""
        self._detectors = make_detectors(settings)
        spans = spans_of(settings)
        if spans != self._spans:
            self._spans, self._pasts = spans, {}
        self.censuses.interval_seconds = settings.capture.census_interval

    def rules(self) -> tuple[RuleState, ...]:
        """Every rule for every worker, why it has fired or has not; it has for as long as its incident is open."""
        fired = {
            (incident.target, incident.worker, incident.kind): incident.summary
            for incident in reversed(self._book.incidents())
            if incident.state == "open"
        }
        now = time.time()
        return tuple(
            RuleState(state.rule, state.target, state.worker, "fired", summary)
            if (summary := fired.get((state.target, state.worker, state.rule))) is not None
            else state
            for case in self._cases.values()
            for state in self._states(case, now)
        )

    def _states(self, case: Case, now: float) -> list[RuleState]:
        turning = (case.turning,) if case.turning is not None and now - case.turning[2] < WINDOW_SECONDS else ()
        seen = self._seen(case, case.samples[-1], now, turning)
        return [judgement.state for judgement in judge_all(self._detectors, seen)]

    def follow(self, found: Found) -> None:
        """Have the observer watch these workers."""
        seats = [seat for seats in found.targets.values() for seat in seats if seat.key is not None]
        self._sockets = {
            seat.key: socket_of(seat.segment.path)
            for seat in seats
            if seat.key is not None and seat.segment is not None
        }
        self._observer.follow(
            [
                Followed(seat.target, seat.slot, seat.key, seat.segment.path if seat.segment is not None else None)
                for seat in seats
                if seat.key is not None
            ]
        )

    def _socket_of(self, key: WorkerKey) -> Path | None:
        return self._sockets.get(key)

    def hear(self, event: Late | Ended) -> None:
        """Take in what the observer tells, in the agent's loop."""
        case = self._case_of(event.key)
        if case is None:
            return
        if isinstance(event, Late):
            self._late(case, event)
            self._look_again(event.key, IN_PROGRESS_SECONDS - event.seconds)
        else:
            self._ended(case, event)
            self._look_again(event.key, ENDED_SECONDS)

    def _look_again(self, key: WorkerKey, seconds: float) -> None:
        """Judge one worker so soon, or sooner if that is planned already."""
        loop = asyncio.get_running_loop()
        planned = self._next.get(key)
        at = loop.time() + max(0.0, seconds)
        if planned is not None and planned.when() <= at:
            return
        if planned is not None:
            planned.cancel()
        self._next[key] = loop.call_at(at, self._look_at, key)

    def _look_at(self, key: WorkerKey) -> None:
        """Judge one worker between two rounds."""
        self._next.pop(key, None)
        case = self._case_of(key)
        worker = self._reread(*self._by_key[key]) if case is not None else None
        if case is None or worker is None or worker.key != key or not worker.up:
            return
        self._book.take(self._find(case, worker, time.time()))
        if self._observer.in_progress(key):
            self._look_again(key, IN_PROGRESS_SECONDS)

    def look(self, targets: Iterable[TargetSnapshot]) -> None:
        """Take in a round of sampling, judge every worker, and hand on what was found."""
        now = time.time()
        targets = tuple(targets)
        self._book.follow(targets)
        findings: list[Finding] = []
        present = set()
        pasts, self._pasts = self._pasts, {}
        for target in targets:
            for worker in target.workers:
                place = worker.target, worker.slot
                past = self._pasts[place] = pasts.get(place) or Past(self._spans)
                if worker.key is None or not worker.up:
                    continue
                past.take(worker)
                present.add(place)
                findings += self._find(self._case(worker, now), worker, now)
        self._book.take(findings)
        for place in set(self._cases) - present:
            self._leave(self._cases.pop(place).key, place)

    def _find(self, case: Case, worker: WorkerSample, now: float) -> list[Finding]:
        """What every detector finds in one worker by now."""
        self._read_ring(case, worker, now)
        self._in_progress(case, worker, now)
        case.turning = next((told for told in reversed(case.told) if not told[1].stall), case.turning)
        found = find_all(self._detectors, self._seen(case, worker, now, tuple(case.told)))
        case.told.clear()
        return self.censuses.accompany(worker, found)

    def _seen(self, case: Case, worker: WorkerSample, now: float, stalls: tuple[ToldStall, ...]) -> Seen:
        growth = self._growth.of(worker.target, worker.slot)
        return Seen(
            target=worker.target,
            worker=worker.slot,
            now=now,
            samples=tuple(case.samples),
            stalls=stalls,
            quiet_since=case.last_stall_at or case.since,
            growth=growth,
            peers=self._growth.pool(worker.target) if growth is not None and growth.wants_peers else (),
            past=self._pasts.get((worker.target, worker.slot)),
        )

    def _case_of(self, key: WorkerKey) -> Case | None:
        place = self._by_key.get(key)
        return self._cases.get(place) if place is not None else None

    def _case(self, worker: WorkerSample, now: float) -> Case:
        place = (worker.target, worker.slot)
        case = self._cases.get(place)
        assert worker.key is not None
        if case is None or case.key != worker.key:
            if case is not None:
                self._leave(case.key, place)
            case = self._cases[place] = Case(worker.key, now, deque(), {}, {}, {}, [])
            self._by_key[worker.key] = place
        case.samples.append(worker)
        if len(case.samples) > 2 and case.samples[-2].at - case.samples[-3].at < SPACING_SECONDS:
            del case.samples[-2]
        while case.samples[0].at < now - WINDOW_SECONDS:
            case.samples.popleft()
        return case

    def _leave(self, key: WorkerKey, place: tuple[str, str]) -> None:
        """Nobody with this key is here any more; a reload may have given it another place already."""
        if self._by_key.get(key) == place:
            del self._by_key[key]

    def _late(self, case: Case, event: Late) -> None:
        if event.probed:
            asyncio.get_running_loop().call_later(HELP_AFTER_SECONDS, self._help, event)
        else:
            self._sample(case, event)

    def _help(self, event: Late) -> None:
        """Take stacks from outside where the probe's watchdog could not: native code holds the interpreter."""
        case = self._case_of(event.key)
        worker = self._reread(*self._by_key[event.key]) if case is not None else None
        loop = _loop(worker, event.loop) if worker is not None else None
        late = loop.late if loop is not None else None
        if case is not None and late is not None and late.since == event.since and not late.stacks:
            self._sample(case, event)

    def _sample(self, case: Case, event: Late) -> None:
        thread_id, name = self._thread_of(case.samples[-1], event.loop)
        late = LateThread(key=event.key, thread_id=thread_id, since=event.since, thread_name=name)
        case.late[event.loop, event.since] = late
        while len(case.late) > KEPT:
            del case.late[next(iter(case.late))]
        self._sampler.late(late)

    def _thread_of(self, worker: WorkerSample, name: str) -> tuple[int, str]:
        loop = _loop(worker, name)
        assert worker.key is not None
        if loop is not None and loop.thread_id:
            return loop.thread_id, loop.thread
        observed = self._observer.observed(worker.key)
        return (observed.thread_id if observed is not None else worker.key.pid), ""

    def _ended(self, case: Case, event: Ended) -> None:
        evidence = event.evidence
        stacks = self._stacks(case, evidence)
        if event.probed:
            case.seen[evidence.loop, evidence.since] = _with_stacks(evidence, stacks)
            while len(case.seen) > KEPT:
                del case.seen[next(iter(case.seen))]
            return
        evidence = _with_stacks(evidence, stacks)
        verdict = decide(evidence)
        self._observer.settle(event.key, evidence.since, verdict.stall)
        worker = case.samples[-1]
        started_at = time.time() - (time.monotonic() - evidence.since)
        if verdict.stall:
            self._book.counts.add(worker.target, worker.slot, event.key, verdict.cause, evidence.seconds)
            case.last_stall_at = started_at + evidence.seconds
        case.told.append((evidence, verdict, started_at))

    def _stacks(self, case: Case, evidence: StallEvidence) -> Stacks:
        late = case.late.pop((evidence.loop, evidence.since), None)
        if late is None:
            return Stacks()
        return self._sampler.ended(late, evidence.since + evidence.seconds)

    def _read_ring(self, case: Case, worker: WorkerSample, now: float) -> None:
        """Count and judge the stalls that the probe has told since the last round."""
        if worker.probe is None:
            return
        for loop in worker.probe.loops:
            last = case.numbers.get(loop.name)
            newest = max((stall.number for stall in loop.recent_stalls), default=0)
            case.numbers[loop.name] = max(last or 0, newest)
            if last is None:
                continue  # what was before the agent has no evidence; the book counts it as it is
            for stall in loop.recent_stalls:
                if stall.number > last:
                    self._judge_probed(case, worker, loop, stall, now)

    def _judge_probed(self, case: Case, worker: WorkerSample, loop: LoopVitals, stall: Stall, now: float) -> None:
        seen = case.seen.pop((loop.name, stall.since), None)
        with_stacks = _first_seen(stall, seen)
        evidence = StallEvidence(
            loop=loop.name,
            since=stall.since,
            seconds=stall.duration_seconds,
            in_progress=False,
            runtime=worker.probe.runtime if worker.probe is not None else "unknown",
            thread=seen.thread if seen is not None else None,
            host=seen.host if seen is not None else self._unseen(stall),
            turn=seen.turn if seen is not None else None,
            cpu_seconds=stall.cpu_seconds,
            gc_seconds=stall.gc_seconds,
            ready_callbacks=stall.ready_callbacks,
            stacks=with_stacks.stacks if with_stacks is not None else (),
            stack_after_seconds=with_stacks.stack_after_seconds if with_stacks is not None else None,
            no_stack_reason=seen.no_stack_reason if seen is not None and not stall.stacks else None,
            holder_stacks=seen.holder_stacks if seen is not None else (),
            probed=True,
        )
        verdict = decide(evidence)
        assert worker.key is not None
        self._book.counts.add(worker.target, worker.slot, worker.key, verdict.cause, evidence.seconds)
        case.last_stall_at = min(now, stall.ended_at)
        case.told.append((evidence, verdict, stall.ended_at - stall.duration_seconds))

    def _unseen(self, stall: Stall) -> HostEvidence:
        """Why nobody looked at a stall: the agent may have been late itself."""
        late = self._observer.late_seconds(stall.since, stall.since + stall.duration_seconds)
        return HostEvidence(agent_late_seconds=max(0.0, late))

    def _in_progress(self, case: Case, worker: WorkerSample, now: float) -> None:
        """Judge a long stall before its end, by what is known so far."""
        assert worker.key is not None
        for evidence in self._observer.in_progress(worker.key):
            if evidence.seconds < IN_PROGRESS_SECONDS:
                continue
            late = case.late.get((evidence.loop, evidence.since))
            stacks = self._sampler.seen(late) if late is not None else Stacks()
            loop = _loop(worker, evidence.loop)
            if not stacks.stacks and loop is not None and loop.current_stall is not None:
                stacks = Stacks(loop.current_stall.stacks)
            judged = msgspec.structs.replace(_with_stacks(evidence, stacks), probed=worker.probe is not None)
            verdict = decide(judged)
            if worker.probe is None and verdict.stall and _guessed(judged, verdict):
                continue  # it may be a loop that is never idle: at its end more is known
            if worker.probe is None:
                self._observer.settle(worker.key, evidence.since, verdict.stall)
            started_at = now - (time.monotonic() - evidence.since)
            case.told.append((judged, verdict, started_at))


def _first_seen(stall: Stall, seen: StallEvidence | None) -> Stall | StallEvidence | None:
    """Of the probe and of py-spy, which name functions differently, whoever had a stack first."""
    if not stall.stacks or seen is None or not (seen.stacks or seen.holder_stacks):
        return stall if stall.stacks else seen
    probed, outside = stall.stack_after_seconds, seen.stack_after_seconds
    return seen if probed is not None and outside is not None and outside < probed else stall


def _guessed(evidence: StallEvidence, verdict: Verdict) -> bool:
    """Whether only stacks say that it was one callback that computed."""
    computed = verdict.cause in ("blocking_cpu", "ready_flood", "microtask_flood")
    return computed and (evidence.turn is None or not evidence.turn.one_turn)


def _loop(worker: WorkerSample, name: str) -> LoopVitals | None:
    loops = worker.probe.loops if worker.probe is not None else ()
    return next((loop for loop in loops if loop.name == name), None)


def _with_stacks(evidence: StallEvidence, stacks: Stacks) -> StallEvidence:
    """The evidence with what was seen from outside."""
    seen, holders = stacks.stacks or evidence.stacks, stacks.holders or evidence.holder_stacks
    return msgspec.structs.replace(
        evidence,
        stacks=seen,
        holder_stacks=holders,
        stack_after_seconds=stacks.after_seconds,
        no_stack_reason=stacks.refusal if not (seen or holders) else None,
    )
