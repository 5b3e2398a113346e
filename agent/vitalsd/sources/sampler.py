"""
One round of sampling: every source of every worker, and the targets put together from it.

A source that fails costs its own fields and nothing else; how each went is kept for `vitalsd_source_success`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import structlog

from vitalsd.model import (
    EXIT_REASONS,
    CpuVitals,
    Exit,
    MemoryKill,
    MemoryVitals,
    ObservedLoop,
    ProbeVitals,
    ProcessVitals,
    Pulse,
    SourceReading,
    TargetSnapshot,
    WorkerKey,
    WorkerSample,
)
from vitalsd.settings.model import Settings
from vitalsd.sources import cpu, memory, probe, proc  # noqa: F401 - importing a source registers it
from vitalsd.sources.exits.vacancy import with_vacancies
from vitalsd.sources.pulse.life import with_loop
from vitalsd.sources.registry import Configured, Outcome, Worker, execute, make_sources
from vitalsd.targets.finder import Found, Seat

__all__ = ["Round", "Sampler"]

READ = ("at", "lag_source", "process", "probe", "memory", "cpu", "observed", "pulse", "missing")
"""What a reading of a worker tells of it."""

log = structlog.get_logger(__name__)


class Round(msgspec.Struct, frozen=True):
    """What one round of sampling brought."""

    targets: tuple[TargetSnapshot, ...]
    sources: tuple[SourceReading, ...]


class Outside(Protocol):
    """What the observer tells of a worker without a probe."""

    def observed(self, key: WorkerKey) -> ObservedLoop | None:
        """Its loop."""

    def missing(self, key: WorkerKey) -> str | None:
        """Why there is none to be seen."""

    def missing_turns(self, key: WorkerKey) -> str | None:
        """Why the turns of its loop cannot be read."""


class Sampler:
    """Reads all sources of all seats."""

    def __init__(
        self,
        observer: Outside | None = None,
        ended: Callable[[str], tuple[tuple[Exit, ...], tuple[MemoryKill, ...]]] = lambda _target: ((), ()),
        pulse: Callable[[WorkerKey], Pulse | None] = lambda _key: None,
    ) -> None:
        self._pulse = pulse
        self._sources = make_sources()
        self._observer = observer
        self._ended = ended
        self._told: dict[tuple[str, WorkerKey], str] = {}

    def reconfigure(self, settings: Settings) -> None:
        """Hand the configuration to whom it is about."""
        for source in self._sources:
            if isinstance(source, Configured):
                source.reconfigure(settings)

    def sample(self, found: Found) -> Round:
        """Read everything once."""
        here = {seat.key for seats in found.targets.values() for seat in seats}
        self._told = {place: problem for place, problem in self._told.items() if place[1] in here}
        targets: list[TargetSnapshot] = []
        readings: list[SourceReading] = []
        for name, seats in found.targets.items():
            outcomes: list[Outcome] = []
            workers = tuple(self._worker(seat, outcomes) for seat in seats)
            restarts = {seat.slot: {why: seat.restarts.get(why, 0) for why in EXIT_REASONS} for seat in seats}
            exits, strays = self._ended(name)
            supervisor = found.supervisors.get(name)
            zombies = found.zombies.get(name, ())
            workers = with_vacancies(workers, exits, supervisor, zombies)
            snapshot = TargetSnapshot(
                name=name,
                up=any(worker.up for worker in workers),
                workers=workers,
                restarts=restarts,
                supervisor=supervisor,
                supervisor_pulse=self._pulse(supervisor.key) if supervisor is not None else None,
                exits=exits,
                stray_kills=strays,
                zombies=zombies,
            )
            targets.append(snapshot)
            readings.extend(_summary(name, outcomes))
        return Round(tuple(targets), tuple(readings))

    def refresh_probe(self, sample: WorkerSample, seat: Seat) -> WorkerSample:
        """The same sample with the segment read again: what a scrape during a stall must see."""
        if not _sits(sample, seat):
            return sample
        read = self._observed(sample) if seat.segment is None else self._probed(sample, seat)
        return self._with_pulse(read, time.time())

    def renew(self, sample: WorkerSample, seat: Seat) -> WorkerSample:
        """The same sample with everything read again, for whoever asks when the round before was left out."""
        if not _sits(sample, seat):
            return sample
        fresh = self._worker(seat, [])
        if not fresh.up:
            return sample  # it has just gone: that is for the next round to tell
        return msgspec.structs.replace(sample, **{field: getattr(fresh, field) for field in READ})

    def _probed(self, sample: WorkerSample, seat: Seat) -> WorkerSample:
        """The same sample with the segment read again."""
        assert seat.key is not None
        source = next(source for source in self._sources if source.fills == "probe")
        missing = {field: reason for field, reason in sample.missing.items() if field.partition(".")[0] != "probe"}
        outcome = execute(source, Worker(seat.target, seat.key, seat.segment), missing)
        if not isinstance(outcome.value, ProbeVitals):
            return msgspec.structs.replace(sample, probe=None)  # what it said before is behind what it said since
        return msgspec.structs.replace(sample, probe=outcome.value, lag_source="probe", missing=missing)

    def _tell(self, source: str, worker: Worker, problem: str | None) -> None:
        """Log what is wrong with one reading, once for as long as it stays the same."""
        place = (source, worker.key)
        if problem is not None and self._told.get(place) != problem:
            pid = worker.key.pid
            log.warning("source_failed", source=source, target=worker.target, pid=pid, reason=problem)
        if problem is not None:
            self._told[place] = problem
        else:
            self._told.pop(place, None)

    def _worker(self, seat: Seat, outcomes: list[Outcome]) -> WorkerSample:
        at = time.time()
        if seat.key is None:
            return WorkerSample(seat.target, seat.slot, None, at, False, "", "none", None, None)
        worker = Worker(seat.target, seat.key, seat.segment, seat.refusal)
        missing: dict[str, str] = {}
        values: dict[str, object] = {}
        for source in self._sources:
            if seat.out_of_sight is not None and source.fills != "probe":
                missing[source.fills] = seat.out_of_sight
                continue
            outcome = execute(source, worker, missing)
            outcomes.append(outcome)
            self._tell(source.name, worker, outcome.problem)
            values[source.fills] = outcome.value
        process, vitals, accounts = values.get("process"), values.get("probe"), values.get("memory")
        kept = values.get("cpu")
        sample = WorkerSample(
            target=seat.target,
            slot=seat.slot,
            key=seat.key,
            at=at,
            up=isinstance(process, ProcessVitals) or seat.out_of_sight is not None,
            command=seat.command,
            lag_source="probe" if isinstance(vitals, ProbeVitals) else "none",
            process=process if isinstance(process, ProcessVitals) else None,
            probe=vitals if isinstance(vitals, ProbeVitals) else None,
            memory=accounts if isinstance(process, ProcessVitals) and isinstance(accounts, MemoryVitals) else None,
            cpu=kept if isinstance(process, ProcessVitals) and isinstance(kept, CpuVitals) else None,
            container=seat.container,
            missing=missing,
        )
        seen = sample if sample.probe is not None or not sample.up else self._observed(sample)
        return self._with_pulse(seen, at)

    def _with_pulse(self, sample: WorkerSample, now: float) -> WorkerSample:
        """The sample with its latest sign of life, once it was looked for."""
        pulse = with_loop(sample, self._pulse(sample.key), now) if sample.key is not None else None
        return msgspec.structs.replace(sample, pulse=pulse) if pulse is not None else sample

    def _observed(self, sample: WorkerSample) -> WorkerSample:
        """The sample with what the observer sees of its loop, or why it sees none."""
        if self._observer is None or sample.key is None:
            return sample
        observed = self._observer.observed(sample.key)
        missing = {field: reason for field, reason in sample.missing.items() if field not in ("observed", "turns")}
        if observed is not None:
            reason = self._observer.missing_turns(sample.key)
            missing |= {"turns": reason} if reason is not None else {}
            return msgspec.structs.replace(sample, observed=observed, lag_source="observer", missing=missing)
        reason = self._observer.missing(sample.key)
        missing |= {"observed": reason} if reason is not None else {}
        return msgspec.structs.replace(sample, missing=missing)


def _sits(sample: WorkerSample, seat: Seat) -> bool:
    """Whether the seat is taken still by the process that the sample is of."""
    return seat.key is not None and seat.key == sample.key and sample.up


def _summary(target: str, outcomes: Iterable[Outcome]) -> Iterable[SourceReading]:
    by_source: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_source.setdefault(outcome.source, []).append(outcome)
    for source, all_of_it in by_source.items():
        problems = [outcome.problem for outcome in all_of_it if outcome.problem is not None]
        duration = sum(outcome.duration_seconds for outcome in all_of_it)
        yield SourceReading(target, source, not problems, duration, problems[0] if problems else None)
