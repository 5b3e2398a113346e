"""
What monitors cost the service that they are in: under load each in turn beside a bare one, at rest all at once.

A monitor is an environment; one that looks from outside counts with what it takes itself.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench import peers
from bench.figures import Bar, Figure, estimate, paired
from bench.harness import Process, scratch
from bench.idle import shares
from bench.throughput import Rounds

__all__ = [
    "CPU_SECOND",
    "FOLDER",
    "IDLE",
    "MEMORY",
    "Monitor",
    "at_rest",
    "not_to_be_had",
    "own_folder",
    "under_load",
]

CPU_SECOND = "requests per CPU second, of bare"
SECOND = "requests per second, of bare"
LATENCY = "p99 latency, of bare"
IDLE = "CPU at rest, added"
MEMORY = "memory, added"
COPIES = 2
WINDOW_SECONDS = 10.0
QUICK_SECONDS = 2.0
STARTERS = 4
MEBIBYTE = 1 << 20
FOLDER = "{folder}"
"""Stands for a folder of a process's own."""


@dataclass(frozen=True)
class Monitor:
    """One of those that are compared, and the environment that puts it into a service."""

    name: str
    extra: Mapping[str, str] = field(default_factory=dict)
    bare: Mapping[str, str] = field(default_factory=dict)
    """What the service that it is compared with has too."""
    package: str = ""
    """Of a peer: what has to be installed."""
    starts: int = 2
    ours: bool = False

    @property
    def title(self) -> str:
        """Its name, with the version of a peer."""
        found = peers.version(self.package) if self.package else None
        return f"{self.name} ({found})" if found else self.name


def not_to_be_had(monitor: Monitor) -> dict[str, Figure | str] | None:
    """What the row says of a peer that is not here."""
    if not monitor.package or peers.version(monitor.package) is not None:
        return None
    return {CPU_SECOND: "could not be installed here"}


def under_load(rounds: Rounds, bar: Bar | None = None) -> dict[str, Figure | str]:
    """The columns of a service that is kept busy."""
    return {
        CPU_SECOND: estimate(CPU_SECOND, rounds.per_cpu_second, "", bar),
        SECOND: estimate(SECOND, rounds.per_second, ""),
        LATENCY: estimate(LATENCY, rounds.p99_seconds, ""),
    }


def at_rest(
    kinds: Sequence[tuple[str, str]],
    monitors: Sequence[Monitor],
    bars: Mapping[str, Bar],
    settle_seconds: float,
    *,
    quick: bool,
) -> dict[str, dict[str, dict[str, Figure | str]]]:
    """
    The columns of services that do nothing, by loop and monitor.

    All of them run at the same time, each beside its bare one.
    """
    copies = 1 if quick else COPIES
    with contextlib.ExitStack() as stack:
        groups = _start(stack, kinds, monitors, copies)
        time.sleep(QUICK_SECONDS if quick else settle_seconds)
        found = shares(groups, QUICK_SECONDS if quick else WINDOW_SECONDS)
        memory = {name: [_memory(one, kinds[0][0]) for one in group] for name, group in groups.items()}
    answer: dict[str, dict[str, dict[str, Figure | str]]] = {}
    for _, loop in kinds:
        answer[loop] = {}
        for monitor in monitors:
            bare = _key("bare", loop, monitor.bare)
            mine = _key(monitor.name, loop, monitor.bare)
            more = [paired(a, b, _more) for a, b in zip(found[bare], found[mine], strict=True)]
            bytes_more = paired(memory[bare], memory[mine], _more)
            if beside := found.get(f"{mine}, beside"):
                more = [paired(a, b, lambda x, y: x + y) for a, b in zip(more, beside, strict=True)]
                bytes_more = paired(bytes_more, memory[f"{mine}, beside"], lambda x, y: x + y)
            answer[loop][monitor.name] = {
                IDLE: estimate(IDLE, more, "% of a core", bars.get(IDLE) if monitor.ours else None),
                MEMORY: estimate(
                    MEMORY,
                    [[one / MEBIBYTE] for one in bytes_more],
                    "MiB",
                    bars.get(MEMORY) if monitor.ours else None,
                ),
            }
    return answer


def _key(name: str, loop: str, bare: Mapping[str, str]) -> str:
    return ", ".join((name, loop, *sorted(bare)))


def _start(
    stack: contextlib.ExitStack, kinds: Sequence[tuple[str, str]], monitors: Sequence[Monitor], copies: int
) -> dict[str, list[Process]]:
    """By name; what runs beside a service is a group of its own."""
    wanted: dict[str, tuple[str, str, Mapping[str, str]]] = {}
    for kind, loop in kinds:
        for monitor in monitors:
            wanted[_key("bare", loop, monitor.bare)] = (kind, loop, monitor.bare)
            extra = {**monitor.bare, **monitor.extra}
            wanted[_key(monitor.name, loop, monitor.bare)] = (kind, loop, extra)

    def start(asked: tuple[str, tuple[str, str, Mapping[str, str]]]) -> tuple[str, Process, Process | None]:
        name, (kind, loop, extra) = asked
        beside = extra.get("BENCH_BESIDE")
        rest = {key: value for key, value in extra.items() if key != "BENCH_BESIDE"}
        one = stack.enter_context(peers.service(kind, loop=loop, extra=stack.enter_context(own_folder(rest))))
        return name, one, stack.enter_context(peers.beside(beside, one)) if beside is not None else None

    groups: dict[str, list[Process]] = {}
    with ThreadPoolExecutor(STARTERS) as pool:
        for name, one, other in pool.map(start, [each for each in wanted.items() for _ in range(copies)]):
            groups.setdefault(name, []).append(one)
            if other is not None:
                groups.setdefault(f"{name}, beside", []).append(other)
    return groups


@contextlib.contextmanager
def own_folder(extra: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The same with a folder of its own for each variable that `FOLDER` stands for."""
    with scratch() as folder:
        yield {name: str(folder) if value == FOLDER else value for name, value in extra.items()}


def _memory(one: Process, kind: str) -> float:
    """RSS; of Node, whose threads share what RSS counts for each process, PSS."""
    return float(one.pss_bytes() if kind == "node" else one.memory_bytes()["VmRSS"])


def _more(bare: float, other: float) -> float:
    return other - bare
