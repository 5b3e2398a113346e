"""
Follows each worker from round to round: takes in its samples, has its stalls followed, asks the detectors, and
hands on what they find.

A worker that the observer tells of is judged at once, and again each second while its loop is late: rounds of
sampling may be far apart. All of it runs in the agent's loop, in well under a millisecond a round.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from vitalsd.capture.census import socket_of
from vitalsd.capture.census_policy import CensusPolicy
from vitalsd.capture.growth import GrowthCensuses, Topic
from vitalsd.capture.stacks import StackSampler
from vitalsd.detect.crash_loop import steady_seconds
from vitalsd.detect.growth.book import GrowthBook
from vitalsd.detect.registry import (
    Seen,
    SeenTarget,
    ToldStall,
    concerned,
    find_all,
    find_in_target,
    judge_all,
    judge_target,
    make_detectors,
    make_target_detectors,
)
from vitalsd.detect.words import duration
from vitalsd.history.past import Past, spans_of
from vitalsd.history.recent import WINDOW_SECONDS
from vitalsd.history.work import WorkBook
from vitalsd.incidents.book import Book
from vitalsd.investigation.case import Case
from vitalsd.investigation.evidence import loop_of
from vitalsd.investigation.failures import DetectorFailures
from vitalsd.investigation.hung import Hung
from vitalsd.investigation.recovering import Recoveries
from vitalsd.investigation.silent import SilentWorkers
from vitalsd.investigation.stalls import IN_PROGRESS_SECONDS, Stalls
from vitalsd.model import (
    Finding,
    Hold,
    Incident,
    Pulse,
    RuleState,
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
from vitalsd.targets.onebyone import one_by_one

__all__ = ["Investigation"]

HELP_AFTER_SECONDS = 0.005
"""A probe that is not at rest takes its first stack 80 ms into a stall, the observer tells of it after 82 ms."""
ENDED_SECONDS = 0.3
"""So long after a stall its probe has told it, on a disk too; several in a row are judged at once."""
PROC = Path("/proc")


def _resources(worker: WorkerSample) -> Mapping[str, int]:
    probe = worker.probe
    return {each.type: each.count for each in probe.resources} if probe is not None else {}


def _pid(worker: WorkerSample) -> int:
    assert worker.key is not None
    return worker.key.pid


COUNTS: dict[Topic, Callable[[WorkerSample], Mapping[str, int]]] = {
    "descriptors": lambda worker: descriptor_kinds(PROC, _pid(worker)),
    "threads": lambda worker: thread_names(PROC, _pid(worker)),
    "resources": _resources,
}
"""What is counted without asking the service for it."""


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
        found_at_rest: Callable[[WorkerKey], None] = lambda _key: None,
    ) -> None:
        self._observer = observer
        self._reread = reread
        self._stalls = Stalls(observer, sampler, book.counts)
        self.recoveries = Recoveries(settings.health, observer.late)
        self._stalls.came_back = self.recoveries.ended
        self.silent = SilentWorkers(sampler, self._hanging, observer.late_seconds, found_at_rest)
        self._hung = Hung()
        self._book = book
        self._cases: dict[tuple[str, str], Case] = {}
        self._by_key: dict[WorkerKey, tuple[str, str]] = {}
        self._next: dict[WorkerKey, asyncio.TimerHandle] = {}
        self._growth = growth
        self.work = WorkBook(settings.workers.imbalance_window)
        self._spans = spans_of(settings)
        self._pasts: dict[tuple[str, str], Past] = {}
        """By target and slot, for as long as the slot is there: its next worker is measured by those before."""
        self._targets: tuple[TargetSnapshot, ...] = ()
        self._segments: dict[WorkerKey, Path] = {}
        self._failures = DetectorFailures()
        self.stirs = True
        """Whether a detector of workers looks closer, one of targets has found something, or a loop is late."""
        policy = CensusPolicy(lambda key: bool(observer.in_progress(key)))
        self.censuses = GrowthCensuses(self._socket_of, policy, settings.capture.census_interval, COUNTS)
        self.changed: Callable[[Iterable[Incident]], None] = lambda _incidents: None
        """Told of incidents that were opened, or have changed."""
        self.holds_of: Callable[[WorkerSample], Sequence[Hold]] = lambda _worker: ()
        """Asked for the captures that are known to hold a worker."""
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """Judge by these bounds from now on."""
        self.stirs = True
        self._detectors = make_detectors(settings)
        self._target_detectors = make_target_detectors(settings)
        self._hung_after = settings.workers.hung_after
        self.recoveries.health = settings.health
        self.work.reconfigure(settings.workers.imbalance_window)
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
        states = [state for case in self._cases.values() for state in self._states(case, now)]
        for target in self._targets:
            judged = judge_target(self._target_detectors, self._seen_target(target, now), self._failures.tell)
            states += [judgement.state for judgement in judged]
        return tuple(
            RuleState(state.rule, state.target, state.worker, "fired", summary)
            if (summary := fired.get((state.target, state.worker, state.rule))) is not None
            else state
            for state in states
        )

    def _states(self, case: Case, now: float) -> list[RuleState]:
        turning = (case.turning,) if case.turning is not None and now - case.turning[2] < WINDOW_SECONDS else ()
        seen = self._seen(case, case.samples[-1], now, turning)
        return [judgement.state for judgement in judge_all(self._detectors, seen, self._failures.tell)]

    def follow(self, found: Found) -> None:
        """Have the observer watch these workers."""
        seats = [seat for seats in found.targets.values() for seat in seats if seat.key is not None]
        self._segments = {
            seat.key: seat.segment.path for seat in seats if seat.key is not None and seat.segment is not None
        }
        self._observer.follow(
            [
                Followed(
                    seat.target,
                    seat.slot,
                    seat.key,
                    seat.segment.path if seat.segment is not None else None,
                    one_by_one(seat.command),
                )
                for seat in seats
                if seat.key is not None
            ]
        )

    def _socket_of(self, key: WorkerKey) -> Path | None:
        segment = self._segments.get(key)
        return socket_of(segment) if segment is not None else None

    def hear(self, event: Late | Ended) -> None:
        """Take in what the observer tells, in the agent's loop."""
        case = self._case_of(event.key)
        if case is None:
            return
        self.stirs = True
        if isinstance(event, Late):
            self._late(case, event)
            self._look_again(event.key, IN_PROGRESS_SECONDS - event.seconds)
        else:
            self._stalls.ended(case, event)
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
        self.changed(self._book.take(self._find(case, worker, time.time())))
        if self._observer.in_progress(key):
            self._look_again(key, IN_PROGRESS_SECONDS)

    def look(self, targets: Iterable[TargetSnapshot], *, early: bool = False) -> None:
        """Take in a round of sampling, judge every worker, hand on what was found; an `early` one calms nobody."""
        now = time.time()
        self.stirs &= early
        targets = self._targets = tuple(targets)
        self._book.follow(targets)
        self.silent.keep(targets)
        self.recoveries.keep({worker.key for target in targets for worker in target.workers if worker.key})
        findings: list[Finding] = []
        present = set()
        pasts, self._pasts = self._pasts, {}
        for target in targets:
            findings += self._find_in_target(self._seen_target(target, now))
            for worker in target.workers:
                place = worker.target, worker.slot
                past = self._pasts[place] = pasts.get(place) or Past(self._spans)
                if worker.key is None or not worker.up:
                    continue
                past.take(worker)
                present.add(place)
                findings += self._find(self._case(worker, now), worker, now)
        self.changed(self._book.take(findings))
        for place in set(self._cases) - present:
            self._leave(self._cases.pop(place), place)

    def look_for_life(
        self, pulse_of: Callable[[WorkerKey], Pulse | None], is_suspect: Callable[[WorkerKey], bool]
    ) -> None:
        """Judge, between two rounds, who shows no life."""
        now = time.time()
        findings: list[Finding] = []
        for target in self._targets:
            if not self._may_be_silent(target, is_suspect):
                continue
            workers = tuple(
                replace(worker, pulse=pulse_of(worker.key)) if worker.key is not None else worker
                for worker in target.workers
            )
            supervisor = target.supervisor
            pulse = pulse_of(supervisor.key) if supervisor is not None else None
            fresh = replace(target, workers=workers, supervisor_pulse=pulse)
            seen = self._seen_target(fresh, now)
            if seen.silences or self._hung.any_of(target.name):
                findings += self._find_in_target(seen)
        if findings:
            self.changed(self._book.take(findings))

    def _may_be_silent(self, target: TargetSnapshot, is_suspect: Callable[[WorkerKey], bool]) -> bool:
        """For next to nothing: whether it is worth a look."""
        if self._hung.any_of(target.name):
            return True
        keys = [worker.key for worker in target.workers if worker.key is not None]
        keys += [target.supervisor.key] if target.supervisor is not None else []
        return any(is_suspect(key) or self._observer.in_progress(key) for key in keys)

    def _find_in_target(self, seen: SeenTarget) -> list[Finding]:
        """What every detector of targets finds by now; who has come back is no longer hung."""
        found = find_in_target(self._target_detectors, seen, self._failures.tell)
        self.stirs |= bool(found)
        for over in self._hung.take(seen, found):
            self.changed(self._book.over(seen.latest.name, over.worker, "worker_hung", over.text, over.fault))
        self._back_again(seen, found)
        return found

    def _back_again(self, seen: SeenTarget, found: Iterable[Finding]) -> None:
        """A place that is taken again is no longer empty, who stays up loops no more: that is said at once."""
        target = seen.latest
        still = {(finding.kind, finding.worker, finding.fault) for finding in found}
        up = {worker.slot for worker in target.workers if worker.up} | ({""} if target.up else set())
        for incident in self._book.incidents():
            place = incident.kind, incident.worker, incident.fault
            if (incident.target, incident.state) != (target.name, "open") or place in still:
                continue
            if (incident.kind, incident.severity) == ("worker_down", "critical") and incident.worker in up:
                text = "its place is taken again" if incident.worker else "its workers are there again"
                self.changed(self._book.over(target.name, incident.worker, "worker_down", text, incident.fault))
            if incident.kind == "crash_loop" and (steady := steady_seconds(seen, incident.evidence)) is not None:
                text = f"its workers have stayed up for {duration(steady)}"
                self.changed(self._book.over(target.name, incident.worker, "crash_loop", text))

    def _seen_target(self, target: TargetSnapshot, now: float) -> SeenTarget:
        silences = self.silent.of(target, self._hung_after, now)
        longest = self.silent.silences.longest(target.name, time.monotonic())
        holds = {worker.slot: held for worker in target.workers if (held := self.holds_of(worker))}
        return SeenTarget(now, target, silences, longest, self.work.loads(target), holds)

    def _hanging(self, worker: WorkerSample) -> Iterable[tuple[StallEvidence, Verdict]]:
        """The stretches of a worker's loops that do not end."""
        case = self._cases.get((worker.target, worker.slot))
        return self._stalls.going_on(case, worker) if case is not None and case.key == worker.key else ()

    def _find(self, case: Case, worker: WorkerSample, now: float) -> list[Finding]:
        """What every detector finds in one worker by now."""
        self._stalls.read_ring(case, worker, now)
        self._stalls.in_progress(case, worker)
        case.turning = next((told for told in reversed(case.told) if not told[1].stall), case.turning)
        seen = self._seen(case, worker, now, tuple(case.told))
        asked = concerned(self._detectors, seen)
        self.stirs |= bool(asked)
        found = find_all(asked, seen, self._failures.tell)
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
            holds=self.holds_of(worker),
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
                self._leave(case, place)
            case = self._cases[place] = Case.of(worker.key, now)
            self._by_key[worker.key] = place
        case.take(worker, now)
        return case

    def _leave(self, case: Case, place: tuple[str, str]) -> None:
        """Who was here is so no more; a reload may have given it another place already."""
        if self._by_key.get(case.key) == place:
            del self._by_key[case.key]
            if case.told_as:  # stalls that will have no end
                self.changed(self._book.over(*place, "stall", "its process has ended"))

    def _late(self, case: Case, event: Late) -> None:
        if event.probed:
            asyncio.get_running_loop().call_later(HELP_AFTER_SECONDS, self._help, event)
        else:
            self._stalls.late(case, event)

    def _help(self, event: Late) -> None:
        """Take stacks from outside where the probe's watchdog could not: native code holds the interpreter."""
        case = self._case_of(event.key)
        worker = self._reread(*self._by_key[event.key]) if case is not None else None
        loop = loop_of(worker, event.loop) if worker is not None else None
        late = loop.late if loop is not None else None
        if case is not None and late is not None and late.since == event.since and not late.stacks:
            self._stalls.late(case, event)
