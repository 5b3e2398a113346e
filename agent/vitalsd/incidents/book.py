"""
Incidents, counts of stalls and slots as the daemon has them: in memory at once, on disk when the disk takes them.

All methods belong to the agent's loop and return at once; only `start` waits, for a bounded moment, so that the
first look already goes on with what the agent before has left.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from vitalsd.history.stalls import StallCounts, StallRow
from vitalsd.incidents.latest import LatestStalls
from vitalsd.incidents.lifecycle import Incidents
from vitalsd.incidents.own import of_the_agent
from vitalsd.incidents.query import Page, Spot, TotalOf, Wanted, spot_of
from vitalsd.incidents.store import Store
from vitalsd.incidents.wording import Event
from vitalsd.model import Cause, Finding, Incident, TargetSnapshot, WorkerKey, WorkerSample
from vitalsd.targets.slots import SlotRow
from vitalsd.ticks import age_seconds

__all__ = ["Book"]

log = structlog.get_logger(__name__)

START_SECONDS = 2.0
TOUCH_SECONDS = 60.0
"""How often slots that stay as they are say that they are still known."""
RETOLD_SECONDS = 3600.0
STEP_SECONDS = 1.0
"""A clock that differs by less was not set, and nobody minds."""
ANSWER_SECONDS = 3.0
"""Below what our own commands wait for an answer."""


class Book:
    """What was found, and how often."""

    def __init__(
        self,
        folder: Callable[[], Path],
        listen: str,
        resolve_after_seconds: float = 60.0,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._steady = steady
        self._offset = clock() - steady()
        """Between the two: a jump of it is a clock that was set, or a host that slept."""
        self._store = Store(folder, listen, clock)
        self._life = Incidents(resolve_after_seconds)
        self._slots: tuple[SlotRow, ...] | None = None
        self._slots_told_at = 0.0
        self._slots_left: tuple[SlotRow, ...] | None = None
        """Those that lay in the file when it was first opened; None before, when nobody may write over them."""
        self._shown_totals: dict[TotalOf, int] = {}
        self._counted: list[tuple[str, str, WorkerKey, int, float]] = []
        self._rows: dict[tuple[int, int, str], StallRow] = {}
        """
        Counts that changed since findings were taken in, which come first.

        A count says that its stalls were judged: on the disk it must not be ahead of the incident that tells of
        them, or an agent that is killed in between would leave a stall that nobody tells.
        """
        self.counts = StallCounts(self._put_count, clock)
        self.latest = LatestStalls()

    def start(self) -> None:
        """Go on with what is stored."""
        self._store.start(START_SECONDS)
        self._go_on()

    def reconfigure(self, resolve_after_seconds: float) -> None:
        """Have incidents end when they were not found for so long, those that are open too."""
        self._life.resolve_after_seconds = resolve_after_seconds

    def take(self, findings: Sequence[Finding]) -> list[Incident]:
        """Take in findings, or none, which is how quiet incidents are noticed; the answer is what has changed."""
        self._go_on()
        for target, slot, key, stalls, seconds in self._counted:
            self.counts.settle(target, slot, key, stalls, seconds)
        self._counted = []
        before = {incident.id: incident for incident in self._life.all()}
        now, offset = self._clock(), self._offset
        self._offset = now - self._steady()
        if abs(self._offset - offset) > STEP_SECONDS:
            self._life.clock_was_set(self._offset - offset)
        changed = self._life.take([of_the_agent(finding) for finding in findings], now)
        for finding in findings:
            if finding.ended:
                self.latest.note(finding.target, self._life.id_of(finding), finding.ended)
        for incident in changed:
            self._keep(incident, before.get(incident.id))
        self._keep_counts()
        return changed

    def follow(self, targets: Iterable[TargetSnapshot]) -> list[Incident]:
        """Take in a round of sampling, before its findings: who has left, and what the probes have counted."""
        self._go_on()
        targets = tuple(targets)
        before = {incident.id: incident for incident in self._life.all()}
        changed = self._life.leave(targets, self._clock())
        for incident in changed:
            self._keep(incident, before.get(incident.id))
        workers = [worker for target in targets for worker in target.workers if worker.up]
        self.counts.follow(worker.key for worker in workers if worker.key is not None)
        if self._store.tried:  # before, nobody knows what an earlier agent has counted
            self._counted = [each for worker in workers if (each := _counted(worker)) is not None]
            waiting, self._rows = self._rows, {}
            self._begin(workers)
            self._keep_counts(at_once=True)  # nobody has judged these, and the next agent is to know their process
            self._rows = waiting
        return changed

    def over(self, target: str, worker: str, kind: str, text: str, fault: str | None = None) -> list[Incident]:
        """Resolve what is known to be over, of one fault or of all, and say why."""
        before = {incident.id: incident for incident in self._life.all()}
        changed = self._life.over(target, worker, kind, self._clock(), text, fault)
        for incident in changed:
            self._keep(incident, before.get(incident.id))
        return changed

    def attach(self, name: str, capture: str | None, evidence: Mapping[str, object], text: str | None) -> None:
        """Add a capture to an incident, or say why there is none, if the incident is still at hand."""
        incident = self._life.attach(name, capture, evidence, self._clock(), text)
        if incident is not None:
            self._store.put(incident, urgent=capture is not None)

    def note(self, name: str, event: Event, text: str) -> None:
        """Add a word to the timeline of an incident, if that is still at hand."""
        incident = self._life.note(name, self._clock(), event, text)
        if incident is not None:
            self._store.put(incident, urgent=True)

    def take_slots_left(self) -> tuple[SlotRow, ...]:
        """Those that an earlier agent has left, once: at the start, or when a file that was in use is free."""
        if not self._slots_left:
            return ()
        left, self._slots_left = self._slots_left, ()
        return left

    def keep_slots(self, rows: tuple[SlotRow, ...]) -> None:
        """Have the next agent find these slots, as they are now, once those of the one before were taken over."""
        if self._slots_left != ():
            return
        now = self._clock()
        if rows != self._slots or not 0 <= now - self._slots_told_at < TOUCH_SECONDS:
            self._slots, self._slots_told_at = rows, now
            self._store.put_slots(tuple(msgspec.structs.replace(row, seen_at=now) for row in rows))

    def stall_counts(self, key: WorkerKey) -> Mapping[Cause, tuple[int, float]]:
        """Cause -> count and seconds of the stalls of a process, once they are written: none is taken back."""
        return self.counts.written(key, self._count_waits)

    def incidents(self) -> tuple[Incident, ...]:
        """Every open one and the latest resolved, latest opened first; the same object until something changes."""
        return self._life.all()

    def totals(self) -> Mapping[TotalOf, int]:
        """Target, kind, severity -> how often one was opened, reopened or became worse, then so; once written."""
        told = self._life.totals.items()
        self._shown_totals.update({of: total for of, total in told if not self._store.total_waits(of)})
        return self._shown_totals

    @property
    def displaced(self) -> int:
        """How many were resolved for no other reason than that there were too many."""
        return self._life.displaced

    @property
    def lost(self) -> int:
        """How many states of incidents never reached the disk."""
        return self._store.lost

    @property
    def problem(self) -> str | None:
        """Why nothing is stored now, if that is so."""
        return self._store.problem

    async def find(self, wanted: Wanted) -> Page:
        """Incidents of now and, as far as the disk tells, of earlier."""
        here = self._life.all()
        fitting = [incident for incident in here if wanted.fits(incident)]
        if wanted.state == "open" or (wanted.id is not None and fitting):
            return _page(fitting, wanted)
        problem = None
        stored: list[Incident] = []
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                stored = await asyncio.wrap_future(self._store.find(wanted))
        except TimeoutError:
            problem = "Older incidents are missing: the disk has not answered in time."
        except Exception as error:  # noqa: BLE001 - whatever the disk has, incidents of now are told
            problem = f"Older incidents are missing: {self.problem or error}."
        # What is in memory is newer than what lies on the disk.
        known = {incident.id for incident in here}
        both = fitting + [incident for incident in stored if incident.id not in known]
        both.sort(key=spot_of, reverse=True)
        # Where the disk may have more, what stands behind its last is for the next page.
        last = spot_of(stored[-1]) if len(stored) >= wanted.limit else None
        return _page(
            [incident for incident in both if last is None or spot_of(incident) >= last], wanted, last, problem
        )

    def close(self) -> None:
        """Write what is waiting, if the disk takes it in a moment."""
        self._keep_counts()
        self._store.close()

    def _begin(self, workers: Iterable[WorkerSample]) -> None:
        """
        Take note of processes that are new here, with what their probes have counted so far as nobody's.

        One that was there when an earlier agent last wrote, and that its file does not know, is one of which that
        agent told what cannot be had any more, or was about to tell it: what the probe still has of the last hour
        is judged, since told twice is better than not at all.
        """
        now = self._clock()
        for worker in workers:
            counted = _counted(worker)
            if counted is None or worker.probe is None:
                continue
            target, slot, key, stalls, seconds = counted
            left_at = self._store.left_at
            forgotten = left_at is not None and now - age_seconds(key.start_ticks) < left_at
            since = now - RETOLD_SECONDS if forgotten else math.inf
            recent = [each for loop in worker.probe.loops for each in loop.recent_stalls if each.ended_at >= since]
            seconds -= sum(each.duration_seconds for each in recent)
            self.counts.begin(target, slot, key, max(0, stalls - len(recent)), max(0.0, seconds))

    def _put_count(self, row: StallRow) -> None:
        self._rows[row.pid, row.start_ticks, row.cause] = row

    def _keep_counts(self, *, at_once: bool = False) -> None:
        for row in self._rows.values():
            self._store.put_count(row, at_once=at_once)
        self._rows.clear()

    def _count_waits(self, key: WorkerKey, cause: Cause) -> bool:
        place = key.pid, key.start_ticks, cause
        return place in self._rows or self._store.waits(*place)

    def _go_on(self) -> None:
        """Take over what lies in a file that was just opened, and have it hold all that is known here."""
        while (loaded := self._store.taken()) is not None:
            # Those that were resolved while it was away.
            for incident in self._life.adopt(loaded.incidents, self._clock()):
                self._store.put(incident, urgent=True)
            stored = {incident.id: incident for incident in loaded.incidents}
            for incident in self._life.all():
                if stored.get(incident.id) != incident:
                    self._store.put(incident, urgent=True)
            self._life.adopt_totals(loaded.totals)
            self._shown_totals = {**loaded.totals, **self._shown_totals}
            for of, total in self._life.totals.items():
                self._store.put_total(of, total)
            self.counts.adopt(loaded.counts)
            lying = set(loaded.counts)
            for row in self.counts.rows():
                if row not in lying:
                    self._store.put_count(row)
            self._slots = None  # whatever lies there, it is to hold those of now
            if self._slots_left is None:
                self._slots_left = loaded.slots

    def _keep(self, incident: Incident, before: Incident | None) -> None:
        changes = before is None or (before.state, before.severity) != (incident.state, incident.severity)
        self._store.put(incident, urgent=changes)
        if changes:
            of: TotalOf = incident.target, incident.kind, incident.severity
            self._store.put_total(of, self._life.totals.get(of, 0))
            _tell(incident, before)


def _page(
    fitting: Sequence[Incident], wanted: Wanted, behind: Spot | None = None, problem: str | None = None
) -> Page:
    """As many as are wanted; `behind` is where the next page begins, if these are no more than that."""
    told = tuple(fitting[: wanted.limit])
    return Page(told, problem, spot_of(told[-1]) if len(fitting) > len(told) > 0 else behind)


def _counted(worker: WorkerSample) -> tuple[str, str, WorkerKey, int, float] | None:
    """What the probe of a worker has counted, whatever the causes."""
    if worker.key is None or worker.probe is None:
        return None
    loops = worker.probe.loops
    stalls, seconds = sum(loop.stalls for loop in loops), sum(loop.stall_seconds for loop in loops)
    return worker.target, worker.slot, worker.key, stalls, seconds


def _tell(incident: Incident, before: Incident | None) -> None:
    """One line for each turn in the life of an incident."""
    what = {"id": incident.id, "kind": incident.kind, "target": incident.target, "worker": incident.worker}
    if incident.state == "resolved":
        log.info("incident_resolved", **what, reason=incident.timeline[-1]["text"])
    else:
        came_back = before is not None and before.state == "resolved"
        event = "incident_opened" if before is None else "incident_reopened" if came_back else "incident_worse"
        severity, cause = incident.severity, incident.cause
        log.warning(event, **what, severity=severity, cause=cause, summary=incident.summary)
