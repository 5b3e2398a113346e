"""
What the daemon knows, as the exporters see it: the last round of sampling, and the daemon's own cost.

The probe's words of a worker are read again whenever somebody asks, so that a scrape during a stall shows it; the
rest is as the last round left it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from vitalsd import __version__
from vitalsd.capture.desk import Desk
from vitalsd.capture.engines.registry import Subject
from vitalsd.capture.stacks import StackSampler
from vitalsd.detect.growth.watch import GrowthWatch
from vitalsd.errors import NotFound
from vitalsd.failures import FAILURES
from vitalsd.history.history import History
from vitalsd.history.memory import MemoryPast
from vitalsd.history.recent import Recent
from vitalsd.incidents.book import Book
from vitalsd.incidents.latest import Latest, LoopPlace
from vitalsd.incidents.query import Page, Wanted
from vitalsd.model import (
    Cause,
    Incident,
    MemoryTrend,
    RecentLoop,
    Recovering,
    RuleState,
    Severity,
    SourceReading,
    TargetSnapshot,
    WorkerKey,
    WorkerSample,
    is_for_computing,
)
from vitalsd.pace import CALM_SECONDS
from vitalsd.remedy.model import RemedyCounts, RemedyState
from vitalsd.remedying import Remedying
from vitalsd.settings.model import AlertLabels, Health
from vitalsd.sources.observer.observer import Observer
from vitalsd.sources.sampler import Round, Sampler
from vitalsd.targets.finder import Found, Seat
from vitalsd_exporters.state import AgentVitals, Exported, Notified
from vitalsd_exporters.web.tls import Certificates

__all__ = ["State"]

LATE_ROUNDS = 4
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
WATCHED_SECONDS = 10.0


class State:
    """The one `View` there is."""

    def __init__(
        self,
        sampler: Sampler,
        book: Book,
        history: History,
        observer: Observer,
        stacks: StackSampler,
        interval_seconds: float,
        health: Health,
        reload: Callable[[], Awaitable[None]],
    ) -> None:
        self.health = health
        self.alert_labels = AlertLabels()
        self.runbooks: str | None = None
        self._sampler = sampler
        self._book = book
        self._history = history
        self._observer = observer
        self._stacks = stacks
        self._reload = reload
        self._round = Round((), ())
        self._recent = Recent()
        self._seats: dict[tuple[str, str], Seat] = {}
        self._sampled_at = 0.0
        self._updated_at: float | None = None
        self._begun_at = time.monotonic()
        self._interval = interval_seconds
        self._watched_at = -math.inf
        self._renewed: tuple[TargetSnapshot, ...] | None = None
        """The latest round as somebody has had it read again."""
        self.reload_problem: str | None = None
        """What was wrong with the configuration that was read last, if it was not taken over."""
        self.reload_succeeded_at = time.time()
        self.ruled: Callable[[], tuple[RuleState, ...]] = tuple
        """What `rules` answers."""
        self.growth: Callable[[str, str], GrowthWatch | None] = lambda _target, _worker: None
        """Target and slot -> its growth."""
        self.round_left_out: Callable[[], bool] = lambda: False
        """Whether there would have been another round by now, were it not for the calm."""
        self.recovers: Callable[[WorkerKey], Recovering | None] = lambda _key: None
        """What `recovering` answers."""
        self.desk: Desk | None = None
        """What `captures` answers, from the first question on."""
        self.remedying: Remedying | None = None
        """The same of `remedy`."""
        self.notified: Callable[[], tuple[Notified, ...]] = tuple
        """How it went with each Alertmanager."""
        self.exported: Callable[[], Exported | None] = lambda: None
        """How it went with OTLP."""
        self.certificates: Certificates | None = None
        """What is shown to who scrapes by TLS."""

    def update(self, found: Found, sampled: Round, now: float, *, early: bool = False) -> None:
        """Take over a round of sampling that began at CLOCK_MONOTONIC `now`; `early` ones tell of no interval."""
        self._seats = {(seat.target, seat.slot): seat for seats in found.targets.values() for seat in seats}
        self._round, self._renewed = sampled, None
        self._recent.keep(sampled.targets, now)
        self._sampled_at = time.time()
        if early:
            return
        if self._updated_at is not None:  # until there is a second round, the interval is what was asked for
            self._interval = now - self._updated_at
        self._updated_at = now

    def look_closely(self) -> None:
        """Somebody looks at this by the second: no round is left out for a while."""
        self._watched_at = time.monotonic()

    def is_watched(self) -> bool:
        """Whether somebody has, until a moment ago."""
        return time.monotonic() - self._watched_at < WATCHED_SECONDS

    def lives(self, seconds: float) -> bool:
        """Whether a round was made within so long, or within a few of the intervals that are really kept."""
        last = self._updated_at if self._updated_at is not None else self._begun_at
        return time.monotonic() - last < max(seconds, LATE_ROUNDS * max(self._interval, CALM_SECONDS))

    def words(self) -> str:
        """How it stands, in half a line."""
        workers = sum(worker.up for target in self._round.targets for worker in target.workers)
        still_open = sum(incident.state == "open" for incident in self._book.incidents())
        return f"{len(self._round.targets)} targets, {workers} workers up, {still_open} incidents open"

    def targets(self) -> tuple[TargetSnapshot, ...]:
        """Every target, its probes read at this instant."""
        return tuple(self._refreshed(target, self._sampler.refresh_probe) for target in self._round.targets)

    def scraped(self) -> tuple[TargetSnapshot, ...]:
        """The same; where a round is being left out, all else is read once in its place, too."""
        if self._renewed is None and self.round_left_out():
            self._renewed = tuple(self._refreshed(target, self._sampler.renew) for target in self._round.targets)
            return self._renewed
        base = self._renewed if self._renewed is not None else self._round.targets
        return tuple(self._refreshed(target, self._sampler.refresh_probe) for target in base)

    def sampled(self) -> tuple[TargetSnapshot, ...]:
        """Every target as the latest round left it."""
        return self._round.targets

    def stalled(self) -> Mapping[tuple[str, str], float]:
        """Target and slot -> seconds of the longest stall that the observer sees it in now."""
        told: dict[tuple[str, str], float] = {}
        for place, seat in self._seats.items():
            for late in self._observer.late(seat.key) if seat.key is not None else ():
                if not is_for_computing(late.runtime, late.loop):
                    told[place] = max(late.seconds, told.get(place, 0.0))
        return told

    def _refreshed(
        self, target: TargetSnapshot, read: Callable[[WorkerSample, Seat], WorkerSample]
    ) -> TargetSnapshot:
        workers = tuple(read(worker, self._seats[target.name, worker.slot]) for worker in target.workers)
        return msgspec.structs.replace(target, workers=workers)

    def worker(self, target: str, slot: str) -> WorkerSample | None:
        """One worker, its probe read at this instant."""
        for snapshot in self._round.targets:
            for worker in snapshot.workers if snapshot.name == target else ():
                if worker.slot == slot:
                    return self._sampler.refresh_probe(worker, self._seats[target, slot])
        return None

    def subject(self, target: str, slot: str | None) -> Subject:
        """A worker that is up, for a capture: the first where no slot is named; raises NotFound."""
        snapshot = next((each for each in self._round.targets if each.name == target), None)
        if snapshot is None:
            names = ", ".join(f"`{each.name}`" for each in self._round.targets) or "none yet"
            raise NotFound(f"No target is called `{target}`; there are {names}")
        up = [worker.slot for worker in snapshot.workers if worker.up and worker.key is not None]
        if slot is None and not up:
            raise NotFound(f"No worker of `{target}` is up")
        worker = self.worker(target, up[0] if slot is None else slot)
        if worker is None or worker.slot not in up:
            raise NotFound(f"No worker `{slot}` of `{target}` is up; there are {', '.join(up) or 'none'}")
        segment = self._seats[target, worker.slot].segment
        return Subject(worker, segment.path if segment is not None else None)

    @property
    def captures(self) -> Desk:
        """What was captured, and the way to ask for more."""
        assert self.desk is not None
        return self.desk

    def recent(self, worker: WorkerSample) -> Mapping[str, RecentLoop]:
        """Loop -> what it did in the last minute."""
        return self._recent.of(worker, time.monotonic(), time.time())

    def cpu_share(self, worker: WorkerSample) -> float | None:
        """Of one processor, in the last minute."""
        return self._recent.cpu_share(worker)

    def incidents(self) -> tuple[Incident, ...]:
        """Every open incident and the latest resolved."""
        return self._book.incidents()

    def incident_totals(self) -> Mapping[tuple[str, str, Severity], int]:
        """Target, kind, severity -> how often one was opened or became so."""
        return self._book.totals()

    async def find_incidents(self, wanted: Wanted) -> Page:
        """Incidents of now and of earlier."""
        return await self._book.find(wanted)

    def rules(self) -> tuple[RuleState, ...]:
        """Every rule for every worker, and why it has fired or has not."""
        return self.ruled()

    def stall_counts(self, worker: WorkerSample) -> Mapping[Cause, tuple[int, float]]:
        """Cause -> count and seconds of the stalls of the worker's process."""
        return self._book.stall_counts(worker.key) if worker.key is not None else {}

    def latest_stalls(self) -> Mapping[LoopPlace, Mapping[float, Latest]]:
        """Loop -> bound of a bucket of its delay -> the latest stall of an incident whose length falls into it."""
        return self._book.latest.all()

    def memory_trend(self, worker: WorkerSample) -> MemoryTrend | None:
        """Where the memory of a worker is going, as far as it is known."""
        watch = self.growth(worker.target, worker.slot)
        return watch.trend if watch is not None else None

    async def memory_past(self, target: str, worker: str, since: float) -> MemoryPast:
        """The memory of one worker since then, minute by minute."""
        return await self._history.memory(target, worker, since)

    def remedy(self, target: str) -> RemedyState:
        """How the remedy of this target stands."""
        assert self.remedying is not None
        return self.remedying.state(target)

    def remedies(self) -> RemedyCounts:
        """What was recycled, and what came of it."""
        assert self.remedying is not None
        return self.remedying.counts()

    def sources(self) -> tuple[SourceReading, ...]:
        """How the latest reading of each source went."""
        return self._round.sources

    def recovering(self, worker: WorkerSample) -> Recovering | None:
        """The loop that was late until a moment ago."""
        return self.recovers(worker.key) if worker.key is not None else None

    def ready(self) -> bool:
        """Whether a first round is done."""
        return self._sampled_at > 0

    def agent(self) -> AgentVitals:
        """What the daemon itself costs."""
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - on every scrape, and one line
            resident = int(file.read().split()[1]) * PAGE_BYTES
        return AgentVitals(
            cpu_seconds=time.process_time(),
            resident_bytes=resident,
            effective_interval_seconds=self._interval,
            sampled_at={target.name: self._sampled_at for target in self._round.targets},
            reload_problem=self.reload_problem,
            certificate_problem=self.certificates.problem if self.certificates is not None else None,
            reload_succeeded_at=self.reload_succeeded_at,
            version=__version__,
            observer_interval_seconds=self._observer.interval_seconds if self._seats else None,
            store_problem=self._book.problem or (self.desk.problem if self.desk is not None else None),
            history_problem=self._history.problem,
            disk_problem=self.desk.disk_problem if self.desk is not None else None,
            incidents_lost=self._book.lost,
            incidents_displaced=self._book.displaced,
            stacks=self._stacks.dumps,
            stacks_refused=dict(self._stacks.refusals),
            errors=FAILURES.counts(),
            notified=self.notified(),
            exported=self.exported(),
        )

    async def reload(self) -> None:
        """Take over the configuration as it is now."""
        await self._reload()
