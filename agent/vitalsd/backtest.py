"""
The detectors of growth over recorded points: what would have opened, when, and why nothing did.

As the agent does it, in the recording's own time: an incident is what was known when it opened, and no point is
looked at before its time has come. Takes 56 KiB of memory for each worker of whom everything is known, a quarter
of that with RSS alone, however long the recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from vitalsd.detect.counts import FdLeakDetector, TaskLeakDetector, ThreadLeakDetector
from vitalsd.detect.exhaustion import ExhaustionDetector
from vitalsd.detect.growth.plan import Plan, plan_of
from vitalsd.detect.growth.pool import MOST_PEERS
from vitalsd.detect.growth.watch import GrowthWatch
from vitalsd.detect.leak import FragmentationDetector, GrowthDetector, LeakDetector
from vitalsd.detect.registry import Detector, Seen
from vitalsd.history.points import Point
from vitalsd.ids import new_id
from vitalsd.incidents.wording import sound, without_advice
from vitalsd.model import Finding, Incident, RuleState
from vitalsd.settings.model import Settings

__all__ = ["Backtest"]

DETECTORS = (
    LeakDetector,
    GrowthDetector,
    FragmentationDetector,
    ExhaustionDetector,
    FdLeakDetector,
    ThreadLeakDetector,
    TaskLeakDetector,
)
RESOLVED_AFTER_BASES = 6
"""Shortest blocks for which it was not found again: half an hour."""
MOST_WORKERS = 20_000
"""Of one recording: a gigabyte, where everything is known of them."""


class _Worker:
    """One worker of the recording."""

    def __init__(self, plan: Plan, target: str, worker: str) -> None:
        self.watch = GrowthWatch(plan)
        self.target, self.worker = target, worker
        self.open: dict[str, float] = {}
        """Kind -> when it was last found."""
        self.opened: set[str] = set()

    def seen(self, pool: list[GrowthWatch]) -> Seen:
        peers = tuple(pool[:MOST_PEERS]) if self.watch.wants_peers else ()
        return Seen(self.target, self.worker, self.watch.at, (), growth=self.watch, peers=peers)


class Backtest:
    """One run over one recording."""

    def __init__(self, settings: Settings) -> None:
        self._plan = plan_of(settings)
        self._detectors: tuple[Detector, ...] = tuple(factory(settings) for factory in DETECTORS)
        self._workers: dict[tuple[str, str], _Worker] = {}
        self._pools: dict[str, list[GrowthWatch]] = {}
        self.points = self._opened = 0
        """How many were looked at."""
        self.points_left_out = 0
        """Of workers beyond MOST_WORKERS."""
        self._resolve_after = RESOLVED_AFTER_BASES * self._plan.base_seconds

    @property
    def workers(self) -> int:
        """How many there were."""
        return len(self._workers)

    def run(self, points: Iterable[Point]) -> Iterator[Incident]:
        """Each incident as it opens."""
        for point in points:
            place = (point.target, point.worker)
            worker = self._workers.get(place)
            if worker is None and len(self._workers) >= MOST_WORKERS:
                self.points_left_out += 1
                continue
            self.points += 1
            if worker is None:
                worker = self._workers[place] = _Worker(self._plan, *place)
                self._pools.setdefault(point.target, []).append(worker.watch)
            if worker.watch.add(point):
                yield from self._judge(worker)

    def quiet(self) -> Iterator[RuleState]:
        """Every rule that has never fired, and why not, as it was at the end."""
        for worker in self._workers.values():
            seen = worker.seen(self._pools[worker.target])
            for detector in self._detectors:
                if detector.kind not in worker.opened:
                    yield detector.judge(seen).state

    def _judge(self, worker: _Worker) -> Iterator[Incident]:
        seen: Seen | None = None
        for detector in self._detectors:
            seen = seen or worker.seen(self._pools[worker.target])
            if detector.is_quiet(seen):
                continue
            for finding in detector.judge(seen).findings:
                known = finding.kind in worker.open
                worker.open[finding.kind] = seen.now
                if not known:
                    worker.opened.add(finding.kind)
                    self._opened += 1
                    yield _incident(finding, seen.now, self._opened)
        for kind, found_at in list(worker.open.items()):
            if not 0 <= worker.watch.at - found_at <= self._resolve_after:
                del worker.open[kind]


def _incident(finding: Finding, now: float, number: int) -> Incident:
    summary, advice = sound(finding.summary), sound(finding.advice)
    return Incident(
        id=new_id(now, lambda bits: number & ((1 << bits) - 1)),  # the same in each run
        kind=finding.kind,
        target=finding.target,
        worker=finding.worker,
        severity=finding.severity,
        state="open",
        opened_at=now,
        resolved_at=None,
        cause=finding.cause,
        culprit=finding.culprit,
        summary=summary,
        evidence=msgspec.to_builtins(finding.evidence),
        updated_at=now,
        timeline=(
            {"at": now, "event": "opened", "text": f"{finding.severity}: {without_advice(summary, advice)}"},
        ),
        fault=finding.fault,
        advice=advice,
    )
