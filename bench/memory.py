"""
What it costs to know the memory of workers: limits and accounts of their group, and PSS; and what a worker pays.

PSS is read of one process with much memory and of one with many mappings. The former maps and unmaps all the time,
while nobody reads it and while it is read now and then: its slowest calls show what a reading costs.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.figures import Bar, Figure
from bench.harness import SERVICES
from vitalsd.model import WorkerKey
from vitalsd.sources.files import read_file
from vitalsd.sources.memory import MemorySource
from vitalsd.sources.registry import Worker
from vitalsd.targets.processes import read_key

SHOWS = "cost of limits, group accounts and PSS per worker, and what a reading of PSS costs the worker"
BARS = {"ten workers of one group, CPU share": Bar(0.05, "% of a core")}

WORKERS = 10
INTERVAL_SECONDS = 2.0
ROUNDS = 1800
"""An hour."""
MEBIBYTES, MAPPINGS = 1024, 20_000
READS = 15
LOOKED_AT_SECONDS = 4.0
PAUSE_SECONDS = 0.05


def run(quick: bool) -> list[Figure]:
    """Cost for the agent first, and for the worker then."""
    size, maps = (MEBIBYTES // 8, MAPPINGS // 8) if quick else (MEBIBYTES, MAPPINGS)
    figures = _rounds(ROUNDS // 10 if quick else ROUNDS)
    with _holding("mebibytes", size) as process:
        took = _reading(process.pid)
        figures.append(Figure("PSS, 1 GiB of small pages", 1000 * took * 1024 / size, "ms"))
        figures.append(Figure("99th percentile of mmap, left alone", 1000 * _waits(process, read=False), "ms"))
        figures.append(
            Figure("99th percentile of mmap, read now and then", 1000 * _waits(process, read=True), "ms")
        )
    with _holding("mappings", maps) as process:
        figures.append(Figure("PSS, a mapping", 1e6 * _reading(process.pid) / maps, "us"))
    return figures


def _rounds(rounds: int) -> list[Figure]:
    """An hour of rounds on a clock of their own, PSS as often as it is due."""
    with contextlib.ExitStack() as stack:
        keys = [_key(stack.enter_context(_holding("mebibytes", 64)).pid) for _ in range(WORKERS)]
        now = 1000.0
        source = MemorySource(clock=lambda: now)
        workers = [Worker("bench", key, None) for key in keys]
        began = time.thread_time()
        for _ in range(rounds):
            now += INTERVAL_SECONDS
            for worker in workers:
                source.read(worker, {})
        took = time.thread_time() - began
    name = "ten workers of one group, CPU share"
    return [
        Figure("a worker and round, group of ten, PSS of 64 MiB", 1e6 * took / rounds / WORKERS, "us"),
        Figure(name, 100 * took / rounds / INTERVAL_SECONDS, "% of a core", BARS[name]),
    ]


@contextlib.contextmanager
def _holding(kind: str, count: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, SERVICES / "pages.py", kind, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def _key(pid: int) -> WorkerKey:
    key = read_key(Path("/proc"), pid)
    assert key is not None
    return key


def _reading(pid: int) -> float:
    """Seconds of a reading, the median."""
    took = []
    for _ in range(READS):
        began = time.thread_time()
        read_file(f"/proc/{pid}/smaps_rollup")
        took.append(time.thread_time() - began)
    return median(took)


def _waits(process: subprocess.Popen[str], *, read: bool) -> float:
    """Seconds of the 99th percentile of the calls of the process within a few seconds."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    ended = time.monotonic() + LOOKED_AT_SECONDS
    while read and time.monotonic() < ended:
        read_file(f"/proc/{process.pid}/smaps_rollup")
        time.sleep(PAUSE_SECONDS)
    return float(process.stdout.readline())
