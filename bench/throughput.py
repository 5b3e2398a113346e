"""
What the probe costs a service at full load: requests per CPU second, and per second, with and without.

Two services run side by side, pinned to one core, the load on the other. They are loaded in turn for a tenth of a
second, ABBA, since a shared machine's speed changes from second to second; and both are started anew many times,
since where a start lays out its memory alone moves it by a percent. Requests per CPU second are the honest figure
where others use the machine too; those per second of wall time are beside them. What the probe does once a second
is in few of these rounds: `idle` has it.

Two processes with the same program still differ by a percent or so. What the hooks cost a request is therefore
also measured in one process, which has them taken out and put back between rounds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bench.figures import Bar, Figure, estimate, paired
from bench.harness import PROBE, Process, Service, at_rest, cores, fetch, scratch, web_service
from bench.load import Load, load

SHOWS = "throughput of a saturated service with the probe over that without it"
BAR = Bar(0.99, at_least=True)
SERVICES = {
    "uvicorn on asyncio": ("uvicorn", "asyncio"),
    "uvicorn on uvloop": ("uvicorn", "uvloop"),
    "aiohttp on asyncio": ("aiohttp", "asyncio"),
}
IN_AND_OUT = {"hooks in one uvicorn on asyncio": "asyncio", "hooks in one uvicorn on uvloop": "uvloop"}
BARS = {f"{name}, per CPU second": BAR for name in IN_AND_OUT} | {
    f"probe, {name}, {per}": BAR for name in SERVICES for per in ("per CPU second", "per second")
}

STARTS = 24
PAIRS = 15
REFERENCE_STARTS = 6
IN_AND_OUT_STARTS = 4
IN_AND_OUT_PAIRS = 80
ROUND_SECONDS = 0.1
WARM_UP_SECONDS = 0.5
REFERENCES: dict[str, dict[str, str]] = {
    "nothing (the noise of this method)": {},
    "20 ms call_later heartbeat": {"BENCH_BEAT_SECONDS": "0.02"},
    "asyncio debug mode": {"BENCH_DEBUG": "1"},
}


Round: TypeAlias = tuple[float, float, float]
"""Requests per CPU second and per second, and the 99th percentile of what they took."""


@dataclass
class Rounds:
    """Ratios of pairs of rounds, by start."""

    per_cpu_second: list[list[float]] = field(default_factory=list)
    per_second: list[list[float]] = field(default_factory=list)
    p99_seconds: list[list[float]] = field(default_factory=list)

    def add(self, bare: Sequence[Round], other: Sequence[Round]) -> None:
        """Those of one start."""
        for ratios, figure in zip((self.per_cpu_second, self.per_second, self.p99_seconds), range(3), strict=True):
            ratios.append(paired([one[figure] for one in bare], [one[figure] for one in other], _ratio))


def run(quick: bool) -> list[Figure]:
    """Measure each service with the probe, and the first one with what else people use."""
    figures = []
    for name, loop in IN_AND_OUT.items():
        starts, pairs = (1, 2) if quick else (IN_AND_OUT_STARTS, IN_AND_OUT_PAIRS)
        rounds = in_and_out("uvicorn", loop, PROBE, starts, pairs)
        figures += figures_of(name, rounds, BAR)[:1]
    for name, (kind, loop) in SERVICES.items():
        with scratch() as folder:
            extra = {**PROBE, "VITALSD_DIR": str(folder)}
            figures += figures_of(f"probe, {name}", compare(kind, loop, extra, STARTS, quick), BAR)
    for name, extra in REFERENCES.items():
        figures += figures_of(name, compare("uvicorn", "asyncio", extra, REFERENCE_STARTS, quick), None)
    return figures


def figures_of(name: str, rounds: Rounds, bar: Bar | None) -> list[Figure]:
    """Per second of CPU and of wall time."""
    return [
        estimate(f"{name}, per CPU second", rounds.per_cpu_second, "", bar),
        estimate(f"{name}, per second", rounds.per_second, "", bar),
    ]


def compare(
    kind: str,
    loop: str,
    extra: Mapping[str, str],
    starts: int,
    quick: bool,
    warm_up_seconds: float = WARM_UP_SECONDS,
    *,
    bare: Mapping[str, str] | None = None,
    pairs: int = PAIRS,
    service: Service = web_service,
) -> Rounds:
    """A bare service against one with `extra` in its environment; each has what is in `bare`."""
    alike = bare or {}
    extra = {**alike, **extra}
    result = Rounds()
    service_cores, load_cores = cores()
    for start in range(1 if quick else starts):
        with contextlib.ExitStack() as stack:
            environments: tuple[Mapping[str, str], ...] = (alike, extra) if start % 2 == 0 else (extra, alike)
            first, second = (
                stack.enter_context(service(kind, loop=loop, extra=one, pinned=service_cores))
                for one in environments
            )
            without, other = (first, second) if start % 2 == 0 else (second, first)
            driver = stack.enter_context(load(load_cores))
            for one in (without, other):
                driver.drive(one.port, warm_up_seconds)
            result.add(*_alternate(driver, without, other, 2 if quick else pairs))
    return result


def in_and_out(
    kind: str,
    loop: str,
    extra: Mapping[str, str],
    starts: int,
    pairs: int,
    warm_up_seconds: float = WARM_UP_SECONDS,
    service: Service = web_service,
    *,
    round_seconds: float = ROUND_SECONDS,
) -> Rounds:
    """One service that has the probe by `extra`, without its hooks against itself with them."""
    result = Rounds()
    service_cores, load_cores = cores()
    for _ in range(starts):
        with scratch() as folder, contextlib.ExitStack() as stack:
            environment = {**extra, "VITALSD_DIR": str(folder)}
            one = stack.enter_context(service(kind, loop=loop, extra=environment, pinned=service_cores))
            driver = stack.enter_context(load(load_cores))
            driver.drive(one.port, warm_up_seconds)
            rounds: dict[str, list[Round]] = {"out": [], "in": []}
            for pair in range(pairs):
                for state in ("out", "in") if pair % 2 == 0 else ("in", "out"):
                    fetch(f"http://127.0.0.1:{one.port}/{state}")
                    rounds[state].append(_round(driver, one, round_seconds))
            result.add(rounds["out"], rounds["in"])
    return result


def _ratio(bare: float, other: float) -> float:
    return other / bare


def _alternate(driver: Load, a: Process, b: Process, pairs: int) -> tuple[list[Round], list[Round]]:
    rounds: dict[int, list[Round]] = {a.pid: [], b.pid: []}
    for pair in range(pairs):
        for one in (a, b) if pair % 2 == 0 else (b, a):
            rounds[one.pid].append(_round(driver, one))
    return rounds[a.pid], rounds[b.pid]


def _round(driver: Load, service: Process, seconds: float = ROUND_SECONDS) -> Round:
    before = service.cpu_seconds()
    driven = driver.drive(service.port, seconds)
    at_rest()
    cpu_seconds = service.cpu_seconds() - before
    return driven.requests / cpu_seconds, driven.requests / driven.seconds, driven.p99_seconds
