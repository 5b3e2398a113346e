"""What the agent costs as workers become more, beside what else watches processes: memory and processor time."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from statistics import median

from bench.figures import Bar, Figure, bootstrap
from bench.harness import Process, process, scratch, wait_for
from bench.pools import Pool, Watcher, agent, debian, pool, process_exporter, version
from bench.questions.answer import Answer, Row

__all__ = ["HOW", "QUESTION", "ask"]

QUESTION = "What does the agent cost, and how does that grow with the number of workers?"
HOW = """
One supervisor forks asyncio workers that have a little to do each second, with our probe inside, and one as many
without. All watch at the same time: an agent beside either pool, Debian's exporters and a loop of psutil, as
many write one for themselves, beside the pool without; process-exporter has a group for each pid, since its
usual few would tell of no worker. Each is asked every 15 s, the way Prometheus asks. The pools grow while
everybody goes on. A figure is the median of windows of 15 s, of which ten workers have four, a thousand two
and others one; py-spy has 6 s of its own, since it would take the others' time. `python -m bench agent` has ten
livelier workers.
"""
LEVELS, QUICK_LEVELS = (1, 10, 100, 1000), (1, 10, 30)
SETTLE_SECONDS, SOON_SECONDS = 10.0, 5.0
"""Before the levels that have bars, and before others."""
WINDOW_SECONDS, QUICK_WINDOWS = 15.0, 1
WINDOWS = {1: 1, 10: 4, 100: 1, 1000: 2}
"""By level; the most of the one with a budget."""
FEW = 10
"""Workers of the budget."""
SAMPLED = (10,)
"""Levels at which py-spy watches: at a hundred it has no time left for anybody."""
SAMPLING_SECONDS = 6.0
TOLD_SECONDS = 180.0
RISES = 1.25
"""Times what the cheapest further worker costs: from there on a worker is said to cost more."""
MEMORY, SHARE, EACH = Bar(40, "MiB"), Bar(0.5, "% of a core"), Bar(100, "us")
PROBED, OUTSIDE, PEER, LOOP, SAMPLER = (
    "agent, with probes",
    "agent, zero-touch",
    "process-exporter",
    "a loop of psutil",
    "py-spy record, 100 a second",
)


@dataclass
class Costs:
    """Of one watcher, level by level."""

    ours: bool = False
    memory: dict[int, int] = field(default_factory=dict)
    """Resident bytes at the end of a level."""
    shares: dict[int, list[float]] = field(default_factory=dict)
    """Of a core, window by window."""

    def each(self, level: int) -> float | None:
        """Microseconds of processor time for each worker and second."""
        return 1e6 * median(self.shares[level]) / level if level in self.shares else None


def ask(quick: bool) -> Answer:
    """Let pools grow under everybody's eyes."""
    levels = QUICK_LEVELS if quick else LEVELS
    costs: dict[str, Costs] = {}
    with scratch() as folder, contextlib.ExitStack() as stack:
        probed = stack.enter_context(pool(folder, "probed", probed=True))
        plain = stack.enter_context(pool(folder, "plain", probed=False))
        _grow(levels[0], probed, plain)
        watchers = _watchers(stack, folder, probed, plain)
        for level in levels:
            _grow(level, probed, plain)
            _known(watchers, level)
            for watcher in watchers:
                watcher.scrape()
            time.sleep(SETTLE_SECONDS if level in (FEW, levels[-1]) else SOON_SECONDS)
            windows = QUICK_WINDOWS if quick else WINDOWS[level]
            for name, shares in _windows(watchers, WINDOW_SECONDS * windows).items():
                costs.setdefault(name, Costs()).shares[level] = shares
            for watcher in watchers:
                costs[watcher.name].ours = watcher.ours
                costs[watcher.name].memory[level] = watcher.process.memory_bytes()["VmRSS"]
            if level in SAMPLED:
                _sampled(costs.setdefault(SAMPLER, Costs()), level, plain.supervisor, folder)
    return Answer(
        [*(_row(name, each, levels) for name, each in costs.items()), *_absent(costs)], _notes(costs, levels)
    )


def _grow(level: int, *pools: Pool) -> None:
    for each in pools:
        each.grow(level)


def _watchers(stack: contextlib.ExitStack, folder: Path, probed: Pool, plain: Pool) -> list[Watcher]:
    monitor = stack.enter_context(process([sys.executable, "monitor.py", str(plain.supervisor.pid)], {}))
    lean = ("-gather-smaps=false", "-threads=false")
    all_of_them = [
        stack.enter_context(agent(folder, PROBED, probed)),
        stack.enter_context(agent(folder, OUTSIDE, plain)),
        stack.enter_context(process_exporter(folder, f"{PEER}, as it comes", plain)),
        stack.enter_context(process_exporter(folder, f"{PEER}, no smaps, no threads", plain, *lean)),
        stack.enter_context(debian("node_exporter, of the host", ["prometheus-node-exporter"])),
        Watcher(LOOP, monitor),
    ]
    return [each for each in all_of_them if each is not None]


def _known(watchers: Sequence[Watcher], level: int) -> None:
    """Wait until everybody tells of so many."""
    wait_for(lambda: all(_knows(each, level) for each in watchers), f"{level} workers to be told", TOLD_SECONDS)


def _knows(watcher: Watcher, level: int) -> bool:
    """Whether an agent tells of so many workers; the others look who is there whenever they are asked."""
    if not watcher.ours:
        return True
    with contextlib.suppress(OSError):
        return watcher.told().count(b'\nvitals_worker_up{target="shop"') >= level
    return False


def _windows(watchers: Sequence[Watcher], seconds: float) -> Mapping[str, list[float]]:
    """Shares of a core, in each of the windows that fit into so long; everybody is scraped once in each."""
    shares: dict[str, list[float]] = {watcher.name: [] for watcher in watchers}
    due = began = time.monotonic()
    spent = {watcher.name: watcher.cpu_seconds() for watcher in watchers}
    while due < began + seconds - WINDOW_SECONDS / 2:
        since, due = time.monotonic(), due + WINDOW_SECONDS
        for watcher in watchers:
            watcher.scrape()
        time.sleep(max(0.0, due - time.monotonic()))
        lasted = time.monotonic() - since
        for watcher in watchers:
            now = watcher.cpu_seconds()
            shares[watcher.name].append((now - spent[watcher.name]) / lasted)
            spent[watcher.name] = now
    return shares


def _sampled(costs: Costs, level: int, supervisor: Process, folder: Path) -> None:
    """What py-spy takes while it samples the supervisor and its workers."""
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or "py-spy"
    command = [program, "record", "--nonblocking", "--subprocesses", "--pid", str(supervisor.pid)]
    command += ["--rate", "100", "--duration", "600", "--format", "raw", "--output", str(folder / "sampled")]
    with process(command, {}) as sampler:
        time.sleep(2.0)
        before, began = sampler.cpu_seconds(), time.monotonic()
        time.sleep(SAMPLING_SECONDS)
        costs.shares[level] = [(sampler.cpu_seconds() - before) / (time.monotonic() - began)]
        costs.memory[level] = sampler.memory_bytes()["VmRSS"]


def _row(name: str, costs: Costs, levels: Sequence[int]) -> Row:
    figures: dict[str, Figure | str] = {}
    most = levels[-1]
    for level in (FEW, most):
        if level in costs.memory:
            bar = MEMORY if costs.ours and level == FEW else None
            figures[f"RSS at {level}"] = Figure("", costs.memory[level] / 2**20, "MiB", bar)
        else:
            figures[f"RSS at {level}"] = "not run"
    if alone := costs.shares.get(levels[0]):
        figures[f"CPU at {levels[0]}"] = Figure("", 100 * median(alone), "% of a core")
    shares = [100 * share for share in costs.shares.get(FEW, ())]
    if shares:
        bar = SHARE if name == PROBED else None
        figures[f"CPU at {FEW}"] = Figure("", median(shares), "% of a core", bar, bootstrap([shares]))
    for level in [level for level in levels if level >= FEW]:
        each = costs.each(level)
        bar = EACH if name == PROBED and level == most else None
        column = f"CPU per worker and second at {level}"
        figures[column] = Figure("", each, "us", bar) if each is not None else "not run"
    further = _further(costs)
    figures["each further worker"] = Figure("", further[-1][1], "us/s") if further else ""
    figures["costs more from"] = _knee(further)
    return Row(name, figures, costs.ours)


def _further(costs: Costs) -> list[tuple[int, float]]:
    """From each level that is measured on: what a further worker costs until the next."""
    known = [(level, median(shares)) for level, shares in sorted(costs.shares.items())]
    return [
        (lower, 1e6 * (more - less) / (upper - lower))
        for (lower, less), (upper, more) in pairwise(known)
        if lower >= FEW  # of fewer it drowns in what moves anyway
    ]


def _knee(further: Sequence[tuple[int, float]]) -> str:
    """Where workers begin to cost more than the cheapest before them."""
    least = float("inf")
    for level, each in further:
        if each > RISES * least:
            return f"{level} workers"
        least = min(least, max(each, 0.0))
    return "nowhere" if len(further) > 1 else ""


def _absent(costs: Mapping[str, Costs]) -> list[Row]:
    """Those that could not be had, with the reason."""
    wanted = {PEER: "prometheus-process-exporter", "node_exporter": "prometheus-node-exporter"}
    return [
        Row(name, {f"RSS at {FEW}": version(package)})
        for name, package in wanted.items()
        if not any(each.startswith(name) for each in costs)
    ]


def _notes(costs: Mapping[str, Costs], levels: Sequence[int]) -> list[str]:
    libraries = [f"{name} {metadata.version(name)}" for name in ("py-spy", "psutil")]
    peers = [version("prometheus-process-exporter"), version("prometheus-node-exporter")]
    notes = [f"Peers: {'; '.join(peers)}; {'; '.join(libraries)}."]
    ours, theirs = costs[PROBED].each(levels[-1]), costs.get(f"{PEER}, as it comes", Costs()).each(levels[-1])
    if ours is not None and theirs is not None:
        notes.append(
            f"At {levels[-1]} workers the agent takes {ours / theirs:.2g} times the processor time of "
            "process-exporter as it comes. That reads a process when it is asked, once in 15 s here; the agent "
            "looks at each loop up to ten times a second and at each process once, reads all of it each 6 s or as "
            "often as a twentieth of a core allows, judges it, asked or not, and tells several times as many "
            "series."
        )
    notes.append(f"py-spy watches {SAMPLED[-1]} workers at the most: of more it leaves no core for others.")
    return notes
