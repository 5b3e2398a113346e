"""
Whether leaks are told, and nothing else: look-alikes and leaks that are made, real machines where
`VITALSD_BENCH_SERIES` names their file, counts, the classic incident, and what all that costs.

Everything goes as points through `vitalsd backtest`. The published tables are of one seed that nothing was tuned
on; `VITALSD_BENCH_SEED` takes another. It prints the tables of docs/leaks.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

from bench.baselines import BASELINES, FIXED_RATES
from bench.countseries import BACKGROUNDS, BUSY, COUNTS, SHAPES
from bench.figures import Bar, Figure, quantile, share, wilson
from bench.growthcost import backtest_rate, evaluation_ms, watch_kib
from bench.lookalikes import EXTRA, PUBLISHED, UNTELLABLE
from bench.machines import Machine, read
from bench.series import LEAKS
from bench.verdicts import (
    ALONE,
    COUNT_HOURS,
    INSIDE,
    WITHIN_HOURS,
    Outcome,
    at_once,
    judge_busy,
    judge_classic,
    judge_clean,
    judge_count,
    judge_leak,
    judge_machine,
    judge_outside,
)

SHOWS = (
    "false alarms per look-alike, recall and delay of leaks per slope, on made and on real series, and their cost"
)
HELD_OUT_SEED = 20261125
SLOPES = (0.05, 0.02, 0.01)
"""Shares of the base an hour."""
RECALL = {0.05: 99, 0.02: 96, 0.01: 78}
BARS = {
    **{f"made, {who}: look-alikes alarmed": Bar(1, "%") for who in (ALONE, INSIDE)},
    **{f"made, {who}: worst class of look-alikes": Bar(10, "%") for who in (ALONE, INSIDE)},
    **{f"made, {ALONE}: {slope:.0%} an hour told in 48 h": Bar(RECALL[slope], "%", True) for slope in SLOPES},
    f"made, {INSIDE}: 2% an hour told in 48 h": Bar(98, "%", at_least=True),
    f"made, {INSIDE}: 2% an hour, median delay": Bar(4, "h"),
    "real: series alarmed": Bar(2, "%"),
    **{f"real: {slope:.0%} an hour told in 48 h": Bar(RECALL[slope], "%", at_least=True) for slope in SLOPES},
    "counts: busy series alarmed": Bar(0, "%"),
    "counts: leaks told in 168 h": Bar(100, "%", at_least=True),
    f"classic, {INSIDE}: told after, at the worst": Bar(45, "min"),
    f"classic, {ALONE}: told before the kill": Bar(100, "%", at_least=True),
    **{f"classic, {who}: error of the time to the limit": Bar(20, "%") for who in (ALONE, INSIDE)},
    "classic: told by 10 MB/min": Bar(0, "%"),
    "CPU time of an evaluation": Bar(1, "ms"),
    # A thousand of them in 60 MB.
    "memory of a worker's past": Bar(58.5, "KiB"),
    "backtest": Bar(100_000, "samples/s", at_least=True),
}
EACH, EACH_QUICK = 100, 5
COUNT_SLOPES = (0.02, 0.05, 0.2)


def run(quick: bool) -> list[Figure]:
    """Judge every series; print the tables of docs/leaks.md, and answer the figures that have bars."""
    seed = int(os.environ.get("VITALSD_BENCH_SEED", HELD_OUT_SEED))
    each = EACH_QUICK if quick else EACH
    print(f"seed {seed}, {each} of each class\n")
    return [
        *_look_alikes(seed, each),
        *_leaks(seed, each),
        *_machines(),
        *_counts(seed, max(1, each // 5)),
        *_classic(seed, 2 * each),
        *_cost(quick),
    ]


def _look_alikes(seed: int, each: int) -> list[Figure]:
    kinds = (*PUBLISHED, *EXTRA, *UNTELLABLE)
    jobs = [(seed, kind, number) for kind in kinds for number in range(each)]
    by_kind = _grouped((job[1] for job in jobs), at_once(judge_clean, jobs))
    rivals = (*BASELINES, *FIXED_RATES)
    others = ("growth", "exhaustion", "fragmentation")
    print("| look-alike | RSS alone | 95 % | with live heap | 95 % | " + " | ".join(others) + " |")
    print("|---|---|---|---|---|" + "---|" * len(others))
    for kind, outcomes in by_kind.items():
        cells = [kind]
        for who in (ALONE, INSIDE):
            cells += [_of(outcomes, who), _interval(outcomes, who)]
        cells += [_opened(outcomes, other) for other in others]
        print(f"| {' | '.join(cells)} |")
    told = [outcome for kind in (*PUBLISHED, *EXTRA) for outcome in by_kind[kind]]
    _rivals("look-alikes", by_kind, rivals)
    days = sum(outcome.days for outcome in told)
    figures = []
    for who in (ALONE, INSIDE):
        alarms = sum(len(outcome.alarms[who]) for outcome in told)
        worst = max(sum(bool(one.alarms[who]) for one in by_kind[kind]) for kind in (*PUBLISHED, *EXTRA))
        figures += [
            _share(f"made, {who}: look-alikes alarmed", sum(bool(one.alarms[who]) for one in told), len(told)),
            _share(f"made, {who}: worst class of look-alikes", worst, each),
            Figure(f"made, {who}: alarms in 1,000 days", 1000 * alarms / days, ""),
        ]
    return figures


def _rivals(what: str, by_kind: dict[str, list[Outcome]], rivals: Sequence[str]) -> None:
    print(f"\n| {what} | " + " | ".join(rivals) + " |\n|---|" + "---|" * len(rivals))
    for kind, outcomes in by_kind.items():
        print(f"| {kind} | " + " | ".join(_of(outcomes, rival) for rival in rivals) + " |")
    print()


def _leaks(seed: int, each: int) -> list[Figure]:
    jobs = [(seed, kind, slope, number) for kind in LEAKS for slope in SLOPES for number in range(each)]
    results = at_once(judge_leak, jobs)
    print(f"| leak | {' | '.join(f'{slope:.0%} an hour, {who}' for slope in SLOPES for who in (ALONE, INSIDE))} |")
    print("|---|" + "---|" * 2 * len(SLOPES))
    for kind in LEAKS:
        cells = [kind]
        for slope in SLOPES:
            outcomes = [one for job, one in zip(jobs, results, strict=True) if job[1:3] == (kind, slope)]
            cells += [_recall(outcomes, who) for who in (ALONE, INSIDE)]
        print(f"| {' | '.join(cells)} |")
    print("\n| told by | " + " | ".join(f"{slope:.0%} an hour" for slope in SLOPES) + " |")
    print("|---|" + "---|" * len(SLOPES))
    by_slope = _grouped((job[2] for job in jobs), results)
    for who in (ALONE, INSIDE, *BASELINES, *FIXED_RATES):
        print(f"| {who} | " + " | ".join(_recall(by_slope[slope], who) for slope in SLOPES) + " |")
    print()
    figures = []
    for who in (ALONE, INSIDE):
        for slope in SLOPES:
            figures += _told_in_time(f"made, {who}", slope, by_slope[slope], who)
    outside = at_once(judge_outside, [(seed, "flat", 0.02, number) for number in range(each)])
    found = sum(one.delay(INSIDE) is not None for one in outside)
    leaks = sum("leak" in one.others[INSIDE] for one in outside)
    figures += [
        share("made: 2% an hour outside of the heap, told as `fragmentation` in 48 h", found, each),
        share("made: 2% an hour outside of the heap, told as `leak` before that", leaks, each),
    ]
    return figures


def _machines() -> list[Figure]:
    path = os.environ.get("VITALSD_BENCH_SERIES")
    if path is None:
        print("real series: skipped, VITALSD_BENCH_SERIES names no file\n")
        return []
    machines = read(Path(path))
    as_is: list[tuple[Machine, float | None]] = [(machine, None) for machine in machines]
    jobs = as_is + [(machine, slope) for machine in machines for slope in SLOPES]
    results = at_once(judge_machine, jobs)
    by_slope = _grouped((job[1] for job in jobs), results)
    print(
        f"| {len(machines)} real machines | alarmed | {' | '.join(f'{slope:.0%} an hour' for slope in SLOPES)} |"
    )
    print("|---|---|" + "---|" * len(SLOPES))
    for who in (ALONE, *BASELINES):
        cells = [_of(by_slope[None], who), *(_recall(by_slope[slope], who) for slope in SLOPES)]
        print(f"| {who} | {' | '.join(cells)} |")
    print()
    alarmed = sum(bool(one.alarms[ALONE]) for one in by_slope[None])
    figures = [_share("real: series alarmed", alarmed, len(machines))]
    for slope in SLOPES:
        figures += _told_in_time("real", slope, by_slope[slope], ALONE)
    return figures


def _counts(seed: int, each: int) -> list[Figure]:
    jobs = [(seed, kind, count, number) for kind in BUSY for count in COUNTS for number in range(each)]
    by_kind = _grouped((job[1] for job in jobs), at_once(judge_busy, jobs))
    print("| busy counts | alarmed | 95 % |\n|---|---|---|")
    for kind, outcomes in by_kind.items():
        print(f"| {kind} | {_of(outcomes, ALONE)} | {_interval(outcomes, ALONE)} |")
    leaks = [
        (seed, background, shape, count, slope, number)
        for background in BACKGROUNDS
        for shape in SHAPES
        for count in COUNTS
        for slope in COUNT_SLOPES
        for number in range(each)
    ]
    results = at_once(judge_count, leaks)
    print("\n| leak of a count, among | " + " | ".join(f"{slope:.0%} an hour" for slope in COUNT_SLOPES) + " |")
    print("|---|" + "---|" * len(COUNT_SLOPES))
    by_place = _grouped(((job[1], job[4]) for job in leaks), results)
    for background in BACKGROUNDS:
        print(
            f"| {background} | "
            + " | ".join(_recall(by_place[background, slope], ALONE, COUNT_HOURS) for slope in COUNT_SLOPES)
            + " |"
        )
    print()
    busy = [outcome for outcomes in by_kind.values() for outcome in outcomes]
    return [
        _share("counts: busy series alarmed", sum(bool(one.alarms[ALONE]) for one in busy), len(busy)),
        *(
            _share(
                f"counts: leaks told in {hours:g} h",
                sum(one.delay(ALONE, hours) is not None for one in results),
                len(results),
            )
            for hours in (COUNT_HOURS, WITHIN_HOURS)
        ),
    ]


def _classic(seed: int, count: int) -> list[Figure]:
    results = at_once(judge_classic, [(seed, number) for number in range(count)])
    inside = [one.told[INSIDE] for one in results]
    alone = [(one.killed, one.told[ALONE]) for one in results]
    before = [killed - told for killed, told in alone if told is not None]
    figures = [
        _share(f"classic, {INSIDE}: told before the kill", sum(told is not None for told in inside), count),
        _figure(f"classic, {INSIDE}: told after, at the worst", 60 * max(_or_never(inside)), "min"),
        Figure(f"classic, {INSIDE}: told after, median", 60 * median(_or_never(inside)), "min"),
        _share(f"classic, {ALONE}: told before the kill", len(before), count),
        Figure(f"classic, {ALONE}: told before the kill by, at the least", 60 * min(before, default=0.0), "min"),
        Figure(f"classic, {ALONE}: told after, median", median(_or_never(told for _, told in alone)), "h"),
        Figure("classic: killed after, median", median(killed for killed, _ in alone), "h"),
    ]
    for who in (ALONE, INSIDE):
        errors = [100 * one.errors[who] for one in results if who in one.errors]
        if errors:
            figures += [
                _figure(f"classic, {who}: error of the time to the limit", median(errors), "%"),
                Figure(
                    f"classic, {who}: error of the time to the limit, 90th percentile", quantile(errors, 0.9), "%"
                ),
            ]
    return [*figures, _share("classic: told by 10 MB/min", sum(one.fixed for one in results), count)]


def _cost(quick: bool) -> list[Figure]:
    quiet, worst_quiet = evaluation_ms(0.0)
    growing, worst_growing = evaluation_ms(0.01)
    return [
        _figure("CPU time of an evaluation", max(quiet, growing), "ms"),
        Figure("CPU time of an evaluation, nothing grows", quiet, "ms"),
        Figure("CPU time of an evaluation, 99th percentile", max(worst_quiet, worst_growing), "ms"),
        _figure("memory of a worker's past", max(watch_kib(0.0), watch_kib(0.0005)), "KiB"),
        _figure("backtest", backtest_rate(100_000 if quick else 1_000_000, 100), "samples/s"),
    ]


def _told_in_time(prefix: str, slope: float, outcomes: Sequence[Outcome], who: str) -> list[Figure]:
    delays = [delay for one in outcomes if (delay := one.delay(who)) is not None]
    name = f"{prefix}: {slope:.0%} an hour"
    figures = [_share(f"{name} told in 48 h", len(delays), len(outcomes))]
    if delays:
        figures += [
            _figure(f"{name}, median delay", median(delays), "h"),
            Figure(f"{name}, 90th percentile of the delay", quantile(delays, 0.9), "h"),
        ]
    return figures


K = TypeVar("K")
V = TypeVar("V")


def _grouped(keys: Iterable[K], values: Iterable[V]) -> dict[K, list[V]]:
    groups: dict[K, list[V]] = {}
    for key, value in zip(keys, values, strict=True):
        groups.setdefault(key, []).append(value)
    return groups


def _of(outcomes: Sequence[Outcome], who: str) -> str:
    return f"{sum(bool(one.alarms[who]) for one in outcomes)}/{len(outcomes)}"


def _interval(outcomes: Sequence[Outcome], who: str) -> str:
    return "{:.1f} .. {:.1f} %".format(*wilson(sum(bool(one.alarms[who]) for one in outcomes), len(outcomes)))


def _opened(outcomes: Sequence[Outcome], kind: str) -> str:
    return "/".join(str(sum(kind in one.others[who] for one in outcomes)) for who in (ALONE, INSIDE))


def _recall(outcomes: Sequence[Outcome], who: str, within: float = WITHIN_HOURS) -> str:
    delays = [delay for one in outcomes if (delay := one.delay(who, within)) is not None]
    told = f"{100 * len(delays) / len(outcomes):.0f} %"
    return f"{told}, {median(delays):.1f} h (p90 {quantile(delays, 0.9):.1f})" if delays else told


def _share(name: str, hits: int, of: int) -> Figure:
    return share(name, hits, of, BARS.get(name))


def _figure(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit, BARS.get(name))


def _or_never(hours: Iterable[float | None]) -> list[float]:
    return [float("inf") if hour is None else hour for hour in hours]
