"""
Has leaking and hung workers recycled, where that is wanted: the wiring between incidents, captures and `remedy`.

Each round of sampling, recyclings of before are followed and each target is decided about. What is done, or is not
and why, is an entry in the incident's timeline and a line of the log, each said once. Costs nothing where
`remedy.mode` is `off`, and a look at the open incidents of each target where it is not.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import structlog
from msgspec.structs import replace

from vitalsd.capture.desk import Desk
from vitalsd.capture.model import ACTIVE
from vitalsd.capture.triggers import TRIGGERS
from vitalsd.ids import new_id
from vitalsd.incidents.book import Book
from vitalsd.model import OWN_TARGET, Incident, TargetSnapshot, WorkerKey, WorkerSample
from vitalsd.remedy.actor import Gone, NotPermitted, held
from vitalsd.remedy.claim import Claims
from vitalsd.remedy.ending import Ending
from vitalsd.remedy.facts import objection
from vitalsd.remedy.judge import followed, judged, words_of
from vitalsd.remedy.model import Outcome, Recycling, RemedyCounts, RemedyState
from vitalsd.remedy.plan import Decision, Order, Said, decide
from vitalsd.remedy.pool import Pool
from vitalsd.remedy.recyclings import Recyclings
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import storage_dir
from vitalsd.settings.units import format_duration
from vitalsd.storage.boot import boot_id

__all__ = ["Remedying"]

log = structlog.get_logger(__name__)
START_SECONDS = 2.0
REPLACED_SECONDS = 10.0
"""A supervisor that has started no other by then will not; and its process must be found first."""
KEPT = 1024
Place = tuple[str, WorkerKey | None, str]
"""Of an incident, a process and what was said of both in a word."""
OFF = RemedyState("off", "off", "remedy.mode is off")
READING = "what was recycled before is being read"
ITSELF = RemedyState("off", "off", "an agent does not recycle itself")


class Remedying:
    """What is done about incidents."""

    def __init__(
        self,
        book: Book,
        desk: Desk,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        proc: Path = Path("/proc"),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._desk = desk
        self._settings = settings
        self._clock = clock
        self._proc = proc
        self._monotonic = monotonic
        self._boot = boot_id() or secrets.token_hex(8)
        self.expect: Callable[[WorkerKey], None] = lambda _key: None
        """Told whose end is our doing, before it is."""
        listen = settings.exporters.prometheus.listen
        self._recyclings = Recyclings(lambda: storage_dir(self._settings.storage), listen)
        self._ending = Ending(
            self._recyclings,
            lambda: self._settings.remedy,
            self._tell,
            self._expect,
            self._unwanted,
            clock=clock,
            monotonic=monotonic,
            proc=proc,
        )
        self._claims = Claims(proc)
        self._names: frozenset[str] = frozenset()
        """The targets of the last round."""
        self._open_since: dict[str, float] = {}
        """Incident -> CLOCK_MONOTONIC at which it was first seen to be open."""
        self._awaited_since: dict[str, float] = {}
        """Recycling -> CLOCK_MONOTONIC since when its replacement is waited for."""
        self._queue: asyncio.Queue[tuple[Recycling, TargetSnapshot | None]] = asyncio.Queue()
        self._begun: dict[str, Recycling] = {}
        """By their id: being asked to end, or waited for."""
        self._said: OrderedDict[Place, None] = OrderedDict()
        self._states: dict[str, RemedyState] = {}
        self._totals: Counter[tuple[str, Outcome]] = Counter()

    def start(self) -> None:
        """Go on with what is stored, where anything is to be done at all; gives the disk a moment."""
        if self._settings.remedy.mode != "off":
            self._recyclings.start(START_SECONDS)

    def reconfigure(self, settings: Settings) -> None:
        """Hold to this from now on, and wait for nothing; whoever was asked to end is waited for."""
        self._settings = settings
        if settings.remedy.mode != "off":
            self._recyclings.start()

    def close(self) -> None:
        """Write down what is known."""
        self._recyclings.close()
        self._claims.keep(())

    def state(self, target: str) -> RemedyState:
        """How the remedy of this target stands."""
        return ITSELF if target == OWN_TARGET else self._states.get(target, OFF)

    def counts(self) -> RemedyCounts:
        """For the metrics."""
        stopped = {name: state.state == "stopped" for name, state in self._states.items()}
        return RemedyCounts({**self._totals, **self._recyclings.totals}, stopped)

    async def run(self) -> None:
        """End those whose turn it is, for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._end(*await self._queue.get()))

    async def _end(self, recycling: Recycling, target: TargetSnapshot | None) -> None:
        try:
            if target is None or target.supervisor is None:
                await self._ending.resume(recycling)
            elif (problem := await self._ending.begin(recycling, target.supervisor)) is not None:
                place = recycling.incident, recycling.key, "process"
                self._once(place, recycling.target, recycling.worker, f"not recycled: {problem}")
        except Exception:  # what fails here must end neither the agent nor the service
            log.exception("remedy_failed", target=recycling.target, worker=recycling.worker)
        finally:
            self._begun.pop(recycling.id, None)

    def look(self, targets: Iterable[TargetSnapshot]) -> None:
        """Follow what was done, and decide what is to be done, after a round of sampling."""
        now = self._clock()
        known = {target.name: target for target in targets if target.name != OWN_TARGET}
        self._names = frozenset(known)
        incidents = self._book.incidents()
        self._follow(known, incidents, now)
        self._hold(known.values())
        if self._settings.remedy.mode == "off":
            self._states = {}
            return
        self._recyclings.start()  # in vain once, it may succeed later
        if self._recyclings.is_reading:
            self._states = {name: RemedyState(self._settings.remedy.mode, "waiting", READING) for name in known}
            return
        still_open: dict[str, list[Incident]] = {}
        for incident in incidents:
            if incident.state == "open":
                still_open.setdefault(incident.target, []).append(incident)
        since, self._open_since = self._open_since, {}
        for incident in (each for opened in still_open.values() for each in opened):
            self._open_since[incident.id] = since.get(incident.id, self._monotonic())
        decisions = {name: self._decide(target, still_open.get(name, []), now) for name, target in known.items()}
        self._states = {name: decision.state for name, decision in decisions.items()}
        for name, decision in decisions.items():
            for said in decision.said:
                self._say(said)
            if decision.order is not None:
                self._carry_out(known[name], decision.order, now)

    def _decide(self, target: TargetSnapshot, incidents: Sequence[Incident], now: float) -> Decision:
        begun = [each for each in self._begun.values() if each.target == target.name]
        known = [each for each in self._recyclings.of(target.name) if each.id not in self._begun]
        pool = Pool(
            snapshot=target,
            incidents=incidents,
            recyclings=(*known, *begun),
            captured=self._is_captured,
            is_watched=self._is_watched,
            open_seconds=lambda incident: self._monotonic() - self._open_since[incident.id],
            max_delay_seconds=self._settings.health.max_delay,
            settle_seconds=self._settings.workers.settle,
        )
        return decide(pool, self._settings.remedy, now)

    def _is_captured(self, incident: Incident) -> bool:
        """Whether each capture that its kind is worth has ended, one way or another, and none is under way."""
        if not self._settings.capture.automatic:
            return True
        captures = [each for each in self._desk.latest() if each.incident == incident.id]
        ended = {each.kind for each in captures if each.state not in ACTIVE}
        wanted = {trigger.kind for trigger in TRIGGERS.get(incident.kind, ()) if trigger.when == "opened"}
        return wanted <= ended and all(each.state not in ACTIVE for each in captures)

    def _is_watched(self, worker: WorkerSample) -> bool:
        """Whether somebody has asked for a capture of it that is not over."""
        return any(
            each.state in ACTIVE
            and each.asked_by != "incident"
            and (each.target, each.worker) == (worker.target, worker.slot)
            for each in self._desk.latest()
        )

    def _follow(self, targets: dict[str, TargetSnapshot], incidents: Iterable[Incident], now: float) -> None:
        remedy = self._settings.remedy
        within = REPLACED_SECONDS + self._settings.sampling.discovery_interval
        since, self._awaited_since = self._awaited_since, {}
        for before in self._recyclings.pending():
            if before.id in self._begun:
                continue
            after = before
            if before.ended_at is None and before.boot != self._boot:
                after = judged(replace(before, ended_at=now), "unknown", now)
            elif before.ended_at is None:  # an agent before this one has asked
                self._begun[before.id] = before
                self._queue.put_nowait((before, None))
            else:
                began = self._awaited_since[before.id] = since.get(before.id, self._monotonic())
                overdue = self._monotonic() - began >= within
                after = followed(before, targets.get(before.target), incidents, remedy, now, overdue=overdue)
            if after is before:
                continue
            self._recyclings.put(after)
            text = words_of(before, after, remedy)
            if text is not None:
                self._tell(after, after.outcome or "replaced", text)

    def _carry_out(self, target: TargetSnapshot, order: Order, now: float) -> None:
        """Begin, unless something speaks against it that only the process itself shows."""
        worker, remedy = order.worker, self._settings.remedy
        assert worker.key is not None
        assert target.supervisor is not None
        against = self._against(worker.key, target)
        if against is not None:
            self._refuse(order, against)
            return
        name = order.signal.name
        if remedy.mode == "dry_run":
            who = f"worker {worker.slot} (pid {worker.key.pid})"
            text = f"dry run: {who} would have been asked to end by {name}, and killed {remedy.grace:g} s later"
            place = order.incident.id, worker.key, "would_have"
            if self._once(place, target.name, worker.slot, f"{text}; {order.reason}"):
                self._totals[target.name, "would_have"] += 1
            return
        taken = self._claims.take(target.supervisor.key)
        if taken is not None:
            self._refuse(order, taken, "claimed")
            return
        if not self._is_captured(order.incident):
            within = format_duration(remedy.evidence_within)
            text = f"its captures were not over within {within}: it is recycled without what they would have shown"
            self._once((order.incident.id, worker.key, "bare"), target.name, worker.slot, text)
        recycling = Recycling(
            id=new_id(now),
            target=target.name,
            worker=worker.slot,
            kind=order.incident.kind,
            incident=order.incident.id,
            key=worker.key,
            boot=self._boot,
            signal=name,
            asked_at=now,
            supervisor=target.supervisor.key,
        )
        self._begun[recycling.id] = recycling
        self._queue.put_nowait((recycling, target))

    def _against(self, key: WorkerKey, target: TargetSnapshot) -> str | None:
        assert target.supervisor is not None
        problem = self._recyclings.problem or objection(key, target.supervisor, self._proc)
        if problem is not None:
            return problem
        try:
            with held(key, self._proc) as process:
                process.send(0)
        except (Gone, NotPermitted) as error:
            return str(error)
        return None

    def _say(self, said: Said) -> None:
        if said.waits:
            worker = said.worker
            place = said.incident.id, worker.key, said.word
            self._once(place, worker.target, worker.slot, f"{self._dry()}waits: {said.sentence}")
        else:
            self._refuse(said, said.sentence, f"{said.word} {said.detail}".rstrip())

    def _refuse(self, about: Order | Said, sentence: str, word: str = "process") -> None:
        worker = about.worker
        place = about.incident.id, worker.key, word
        if self._once(place, worker.target, worker.slot, f"{self._dry()}not recycled: {sentence}"):
            self._totals[worker.target, "refused"] += 1
        if self._states[worker.target].state != "stopped":
            reason = f"worker {worker.slot}: {sentence}"
            self._states[worker.target] = RemedyState(self._settings.remedy.mode, "waiting", reason)

    def _unwanted(self, recycling: Recycling) -> str | None:
        """Why its worker is not to be ended any more, if that is so."""
        if self._settings.remedy.mode != "on":
            return "remedy.mode is not on"
        if recycling.target not in self._names:
            return "its target is watched no more"
        return self._claims.take(recycling.supervisor) if recycling.supervisor is not None else None

    def _hold(self, targets: Iterable[TargetSnapshot]) -> None:
        """Let others recycle what is recycled here no more."""
        held = {each.supervisor for each in self._begun.values()}
        if self._settings.remedy.mode == "on":
            held |= {target.supervisor.key for target in targets if target.supervisor is not None}
        self._claims.keep({key for key in held if key is not None})

    def _expect(self, key: WorkerKey) -> None:
        self.expect(key)

    def _dry(self) -> str:
        return "dry run: " if self._settings.remedy.mode == "dry_run" else ""

    def _once(self, place: Place, target: str, worker: str, text: str) -> bool:
        """Say this of an incident and a process, unless it was said already."""
        if place in self._said:
            return False
        self._said[place] = None
        while len(self._said) > KEPT:
            self._said.popitem(last=False)
        self._note(place[0], target, worker, place[2], text)
        return True

    def _tell(self, recycling: Recycling, event: str, text: str) -> None:
        """Have the incident of a recycling say this."""
        self._note(recycling.incident, recycling.target, recycling.worker, event, text)

    def _note(self, incident: str, target: str, worker: str, event: str, text: str) -> None:
        self._book.note(incident, "remedy", text)
        # `vitalsd run` logs warnings alone: what is done to a worker is told there too.
        write = log.warning if self._settings.remedy.mode == "on" else log.info
        write("remedy", target=target, worker=worker, incident=incident, what=event, text=text)
