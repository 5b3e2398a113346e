"""
What a recording comes to: which incidents `vitalsd backtest` opens and when, and what the others say of the same.

One job is one series; jobs go to as many processes as there are processors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bench.baselines import BASELINES, FIXED_RATES, fixed_rate, medians, stretches
from bench.countseries import busy, leaking_count
from bench.machines import BEGAN, LIMIT_PER_CENT, ONSET_HOURS, Machine
from bench.series import ONSET, Series, classic, clean, leaking
from vitalsd.backtest import Backtest
from vitalsd.history.points import Point
from vitalsd.settings.model import Settings

__all__ = [
    "ALONE",
    "COUNT_HOURS",
    "INSIDE",
    "Classic",
    "Outcome",
    "at_once",
    "judge_busy",
    "judge_classic",
    "judge_clean",
    "judge_count",
    "judge_leak",
    "judge_machine",
    "judge_outside",
]

ALONE, INSIDE = "RSS alone", "with live heap"
WITHIN_HOURS = 48.0
"""A leak that is told later counts as not told."""
COUNT_HOURS = 168.0
"""Of counts, which a busy service doubles and halves each day: as long as there is."""
Told = tuple[str, float, Mapping[str, Any]]
"""Kind, unix time and evidence of an incident."""
J = TypeVar("J")
R = TypeVar("R")


@dataclass
class Outcome:
    """What was told of one series."""

    days: float
    onset: float = 0.0
    """Hours after its beginning."""
    alarms: dict[str, list[float]] = field(default_factory=dict)
    """Who told -> hours after its beginning, each more than a day after the one before."""
    others: dict[str, set[str]] = field(default_factory=dict)
    """Who told -> the kinds of what opened besides."""

    def delay(self, who: str, within: float = WITHIN_HOURS) -> float | None:
        """Hours from the onset to the first alarm; None where that came before it, too late or never."""
        first = next(iter(self.alarms[who]), None)
        return first - self.onset if first is not None and 0 <= first - self.onset <= within else None


@dataclass
class Classic:
    """The incident that everybody knows, as it was told: hours from the onset."""

    killed: float
    told: dict[str, float | None]
    errors: dict[str, float]
    """Of the time to the limit when it opened, as a share of what was left."""
    fixed: bool
    """Whether the rule of the guides told it."""


def at_once(judge: Callable[[J], R], jobs: Sequence[J]) -> list[R]:
    """All jobs, in as many processes as there are processors."""
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(judge, jobs, chunksize=max(1, min(16, len(jobs) // (4 * workers)))))


def _told(points: Iterable[Point], until: str = "") -> list[Told]:
    """What opened, no further than to the first of kind `until`."""
    told: list[Told] = []
    for incident in Backtest(Settings()).run(points):
        told.append((incident.kind, incident.opened_at, incident.evidence))
        if incident.kind == until:
            break
    return told


def _add(outcome: Outcome, who: str, told: list[Told], began: float, kinds: tuple[str, ...]) -> None:
    hours = [(at - began) / 3600 for kind, at, _ in told if kind in kinds]
    outcome.alarms[who] = stretches(hours)
    outcome.others[who] = {kind for kind, _, _ in told if kind not in kinds}


def _memory(series: Series, onset: float, *, until: str = "", alarm: str = "leak") -> Outcome:
    outcome = Outcome(series.days, onset)
    for who, with_heap in ((ALONE, False), (INSIDE, True)):
        _add(outcome, who, _told(series.points(with_heap), until), series.began, (alarm,))
    _ask_others(outcome, medians(series.memory), series.limit)
    for name, minutes in FIXED_RATES.items():
        outcome.alarms[name] = stretches(minute / 60 for minute in fixed_rate(series.memory, minutes))
    return outcome


def _ask_others(outcome: Outcome, values: Sequence[float], limit: float) -> None:
    for name, rule in BASELINES.items():
        outcome.alarms[name] = stretches(number / 12 for number in rule(values, limit))


def judge_clean(job: tuple[int, str, int]) -> Outcome:
    """A look-alike: seed, kind, number."""
    return _memory(clean(*job), 0.0)


def judge_leak(job: tuple[int, str, float, int]) -> Outcome:
    """A leak: seed, kind, share of the base an hour, number."""
    return _memory(leaking(*job), ONSET / 60, until="leak")


def judge_outside(job: tuple[int, str, float, int]) -> Outcome:
    """A leak of native code, which the live heap does not show: whether it is told as what it looks like."""
    return _memory(leaking(*job, outside=True), ONSET / 60, until="fragmentation", alarm="fragmentation")


def judge_machine(job: tuple[Machine, float | None]) -> Outcome:
    """A real machine as it was, or with a ramp of a share an hour."""
    machine, per_hour = job
    if per_hour is not None:
        machine = machine.leaking(per_hour)
    outcome = Outcome(machine.days, 0.0 if per_hour is None else ONSET_HOURS)
    told = _told(machine.points(), "" if per_hour is None else "leak")
    _add(outcome, ALONE, told, BEGAN, ("leak",))
    _ask_others(outcome, machine.medians, LIMIT_PER_CENT)
    return outcome


def judge_busy(job: tuple[int, str, str, int]) -> Outcome:
    """Counts of a busy service: seed, kind, count, number."""
    counted = busy(*job)
    outcome = Outcome(len(counted.values) / 1440)
    _add(outcome, ALONE, _told(counted.points()), counted.began, COUNT_KINDS)
    return outcome


def judge_count(job: tuple[int, str, str, str, float, int]) -> Outcome:
    """A leak of a count: seed, background, shape, count, share an hour, number."""
    counted = leaking_count(*job)
    outcome = Outcome(len(counted.values) / 1440, ONSET / 60)
    _add(outcome, ALONE, _told(counted.points()), counted.began, COUNT_KINDS)
    return outcome


COUNT_KINDS = ("fd_leak", "thread_leak", "task_leak")


def judge_classic(job: tuple[int, int]) -> Classic:
    """The classic incident: seed, number."""
    series, killed = classic(*job)
    onset = series.began + 60 * ONSET
    outcome = Classic(killed, {}, {}, any(fixed_rate(series.memory, FIXED_RATES["10 MB/min over 30 min"])))
    for who, with_heap in ((ALONE, False), (INSIDE, True)):
        told = _told(series.points(with_heap), "leak")
        kind, at, evidence = told[-1] if told else ("", 0.0, {})
        hours = (at - onset) / 3600
        outcome.told[who] = hours if kind == "leak" and hours >= 0 else None
        left = evidence.get("time_to_limit_seconds")
        if outcome.told[who] is not None and left is not None:
            outcome.errors[who] = abs(left / 3600 - (killed - hours)) / (killed - hours)
    return outcome
