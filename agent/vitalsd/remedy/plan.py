"""
Which worker of a target is recycled now, or why none is: one decision from what is known, and nothing else.

Pure and told the time. Guards are asked in one order, those that will not pass first, so that an incident is told
what stands in the way for good before what does for the moment. At most one worker of a target at a time; never
below `remedy.min_healthy`; never without the incident's evidence, or the time for it; never what nobody would
replace. Where more than half of a pool has the same, one is recycled and judged before the next, since a bad
deploy gets no better by starting it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import Signals
from typing import Literal

import msgspec

from vitalsd.detect.standstill import ALL_WORKERS
from vitalsd.model import Incident, WorkerSample
from vitalsd.remedy.breaker import Breaker, breaker_of
from vitalsd.remedy.facts import IS_STOPPED
from vitalsd.remedy.health import doubts_about_others, is_stopped
from vitalsd.remedy.model import KINDS, RemedyState, StateName
from vitalsd.remedy.pool import Pool
from vitalsd.remedy.ways import way_of
from vitalsd.settings.model import Remedy
from vitalsd.settings.units import format_duration

__all__ = ["Decision", "Order", "Said", "Word", "candidates", "decide"]

Word = Literal[
    "supervisor",
    "stopped",
    "unsure",
    "min_healthy",
    "breaker",
    "process",
    "one_at_a_time",
    "evidence",
    "judging",
    "backoff",
]
"""What stands in the way."""
WAITS: tuple[Word, ...] = ("one_at_a_time", "evidence", "judging", "backoff")
"""What passes by itself; the others are refusals."""
UNSURE = {
    "heartbeat": "a synchronous worker at a long request looks the same; its supervisor's own timeout says how "
    "long one may take, and ends it",
    "uninterruptible": "it waits in the kernel, where no signal reaches it",
}
"""How a worker was seen to hang -> why it is left alone all the same."""
NAMED = 3
"""Of those that do not count as healthy."""
STARTED_SECONDS = 1.0
"""As exactly as the start of a process is known in unix time."""


class Order(msgspec.Struct, frozen=True):
    """One worker that is to be recycled."""

    incident: Incident
    worker: WorkerSample
    signal: Signals
    reason: str
    """Why this signal is right."""


class Said(msgspec.Struct, frozen=True):
    """Why a worker is not recycled now."""

    incident: Incident
    worker: WorkerSample
    word: Word
    sentence: str
    detail: str = ""
    """What makes it another reason than the same word was before, and be told anew."""

    @property
    def waits(self) -> bool:
        """Whether it will be by itself."""
        return self.word in WAITS


class Decision(msgspec.Struct, frozen=True):
    """What is to be done in a target, and how it stands."""

    state: RemedyState
    order: Order | None = None
    said: tuple[Said, ...] = ()


def decide(pool: Pool, settings: Remedy, now: float) -> Decision:
    """At most one order, and of every other candidate why not."""
    if settings.mode == "off":
        return Decision(RemedyState("off", "off", "remedy.mode is off"))
    supervisor = pool.snapshot.supervisor
    breaker = breaker_of(pool.recyclings, settings, now, supervisor.key if supervisor is not None else None)
    said: list[Said] = []
    order: Order | None = None
    for incident, worker in candidates(pool, settings):
        way = way_of(pool.snapshot.supervisor, len(pool.snapshot.workers))
        told: tuple[Word, str] | tuple[Word, str, str] | None
        told = _refused(pool, incident, worker, breaker, settings, now)
        if told is None and order is not None:
            told = "one_at_a_time", f"worker {order.worker.slot} comes first"
        if told is not None:
            said.append(Said(incident, worker, *told))
        elif way.signal is not None:
            order = Order(incident, worker, way.signal, way.reason)
    return Decision(_state(pool, settings, breaker, order, said, now), order, tuple(said))


def candidates(pool: Pool, settings: Remedy) -> list[tuple[Incident, WorkerSample]]:
    """Incidents that recycling may help against, of workers that are up: hung ones first, then the oldest."""
    workers = {worker.slot: worker for worker in pool.snapshot.workers}
    wanted: Mapping[str, bool] = {"leak": settings.leak, "worker_hung": settings.worker_hung}
    busy = {each.key for each in pool.recyclings if each.in_progress}
    found: list[tuple[Incident, WorkerSample]] = []
    for incident in pool.incidents:
        worker = workers.get(incident.worker)
        if not wanted.get(incident.kind) or worker is None or not worker.up or worker.key in busy:
            continue
        if _found_of_another(incident, worker):
            continue
        found.append((incident, worker))
    found.sort(key=lambda pair: (-KINDS.index(pair[0].kind), pair[0].opened_at, pair[0].id))
    once: dict[str, tuple[Incident, WorkerSample]] = {}
    for incident, worker in found:
        once.setdefault(worker.slot, (incident, worker))
    return list(once.values())


def _found_of_another(incident: Incident, worker: WorkerSample) -> bool:
    """Whether it was last found of a process that sat in this slot before."""
    started = worker.process.started_at if worker.process is not None else None
    return started is not None and incident.updated_at <= started + STARTED_SECONDS


def _refused(
    pool: Pool, incident: Incident, worker: WorkerSample, breaker: Breaker, settings: Remedy, now: float
) -> tuple[Word, str] | tuple[Word, str, str] | None:
    way = way_of(pool.snapshot.supervisor, len(pool.snapshot.workers))
    if way.signal is None:
        return "supervisor", way.reason
    if is_stopped(worker):
        return "stopped", IS_STOPPED
    unsure = UNSURE.get(str(incident.evidence.get("shown_by"))) if incident.kind == "worker_hung" else None
    if unsure is not None:
        return "unsure", unsure
    hung = [each for each in pool.incidents if each.kind == "worker_hung" and not each.worker]
    if any(each.fault != ALL_WORKERS for each in hung):
        return "supervisor", "its supervisor hangs itself, and would start no other"
    if breaker.opened_at is not None:
        return "breaker", _open(breaker, now)
    in_progress = next((each for each in pool.recyclings if each.in_progress), None)
    if in_progress is not None:
        return "one_at_a_time", f"worker {in_progress.worker} is being recycled"
    if pool.is_watched(worker):
        return "evidence", "somebody has asked for a capture of it"
    waited = min(abs(now - _opened_at(incident)), pool.open_seconds(incident))
    if not pool.captured(incident) and waited < settings.evidence_within:
        return "evidence", f"its captures are not over yet, {format_duration(settings.evidence_within)} at most"
    judging = _judging(pool, incident, breaker)
    if judging is not None:
        return "judging", judging
    if breaker.backoff_seconds > 0:
        return "backoff", f"{breaker.backoff_seconds:.0f} s are left of the pause after the last one"
    return _too_few(pool, worker, settings, now)


def _too_few(pool: Pool, worker: WorkerSample, settings: Remedy, now: float) -> tuple[Word, str, str] | None:
    """Whether fewer would serve than must; with who does not count, and why."""
    others, least = len(pool.snapshot.workers) - 1, settings.min_healthy
    if least and not others:
        return "min_healthy", f"it is alone in its pool, and remedy.min_healthy is {least}", "alone"
    doubts = doubts_about_others(worker, pool, now)
    healthy = others - len(doubts)
    if healthy >= least:
        return None
    sentence = f"{healthy} of {others} other workers are healthy, and remedy.min_healthy is {least}"
    if least > others:
        sentence += ", more than there are"
    told = [f"worker {each.worker} {each.sentence}" for each in doubts[:NAMED]]
    if len(doubts) > NAMED:
        told.append(f"{len(doubts) - NAMED} more do not count either")
    detail = " ".join(sorted({each.word for each in doubts}))
    return "min_healthy", ": ".join([sentence, "; ".join(told)]) if told else sentence, detail


def _judging(pool: Pool, incident: Incident, breaker: Breaker) -> str | None:
    """Whether it must be known first if an earlier one has helped."""
    if not breaker.pending:
        return None
    first = breaker.pending[0]
    until = f"whether recycling worker {first.worker} has helped"
    alike = {each.worker for each in pool.incidents if each.kind == incident.kind}
    alike |= {each.worker for each in breaker.pending if each.kind == incident.kind}
    workers = len(pool.snapshot.workers)
    if 2 * len(alike) > workers:
        return f"{len(alike)} of {workers} workers have or had a {incident.kind}: it is seen first {until}"
    if breaker.left <= 0:
        return f"{len(breaker.pending)} are not judged yet: it is seen first {until}"
    return None


def _opened_at(incident: Incident) -> float:
    """When it was opened, or last reopened."""
    again = [entry["at"] for entry in incident.timeline if entry["event"] == "reopened"]
    latest = again[-1] if again else None
    return float(latest) if isinstance(latest, int | float) else incident.opened_at


def _open(breaker: Breaker, now: float) -> str:
    left = max(0.0, breaker.rest_seconds - abs(now - (breaker.opened_at or now)))
    why = (
        f"nobody has taken the place of worker {breaker.lost}"
        if breaker.lost is not None
        else f"{breaker.failures} in a row did not help"
    )
    return f"{why}; one more is tried in {format_duration(round(left))}"


def _state(
    pool: Pool, settings: Remedy, breaker: Breaker, order: Order | None, said: Sequence[Said], now: float
) -> RemedyState:
    def stands(state: StateName, reason: str) -> RemedyState:
        return RemedyState(settings.mode, state, reason)

    in_progress = next((each for each in pool.recyclings if each.in_progress), None)
    if in_progress is not None:
        return stands("recycling", f"worker {in_progress.worker} (pid {in_progress.key.pid}) is being recycled")
    if breaker.opened_at is not None:
        return stands("stopped", _open(breaker, now))
    if order is not None and settings.mode == "dry_run":
        return stands("waiting", f"dry run: worker {order.worker.slot} would be recycled")
    if order is not None:
        return stands("recycling", f"worker {order.worker.slot} is next")
    if said:
        first = said[0]
        return stands("waiting", f"worker {first.worker.slot}: {first.sentence}")
    if breaker.pending:
        names = ", ".join(each.worker for each in breaker.pending)
        return stands("watching", f"whether recycling worker {names} has helped")
    return stands("idle", "no worker has an incident that recycling would help against")
