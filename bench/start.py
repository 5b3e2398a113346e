"""
What a short-lived script pays for finding the probe on its PYTHONPATH: wall and CPU time, threads, files.

Runs with and without alternate. A script that ends within a second must leave nothing and start nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench.figures import Bar, Figure, estimate, paired
from bench.harness import PROBE, environment, scratch

SHOWS = "what a short-lived script pays for the probe on its PYTHONPATH"
BARS = {"threads and segments left behind": Bar(0)}

RUNS = 150
SCRIPTS = {
    "python -c pass": "pass",
    "a short asyncio script": "import asyncio; asyncio.run(asyncio.sleep(0))",
}
COUNT_THREADS = "\nimport os; os._exit(len(os.listdir('/proc/self/task')) - 1)"


def run(quick: bool) -> list[Figure]:
    """Measure scripts with and without, and what they leave."""
    figures = []
    left = 0
    with scratch() as folder:
        probed = {**PROBE, "VITALSD_DIR": str(folder)}
        for name, script in SCRIPTS.items():
            wall, cpu, bare = _compare(script, probed, RUNS // 10 if quick else RUNS)
            figures.append(estimate(f"{name}, CPU time added", [cpu], "ms"))
            figures.append(estimate(f"{name}, wall time added", [wall], "ms"))
            figures.append(estimate(f"{name}, bare CPU time", [bare], "ms"))
            left += _threads_beyond_one(script, probed) + len(list(folder.iterdir()))
    name = "threads and segments left behind"
    return [*figures, Figure(name, left, "", BARS[name])]


def _compare(script: str, probed: Mapping[str, str], runs: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds that the probe adds, wall and CPU, and the bare CPU time, of each pair."""
    for extra in ({}, probed):
        _once(script, extra)
    bare, other = [], []
    for index in range(runs):
        if index % 2 == 0:
            bare.append(_once(script, {}))
            other.append(_once(script, probed))
        else:
            other.append(_once(script, probed))
            bare.append(_once(script, {}))
    wall = paired([one[0] for one in bare], [one[0] for one in other], _added)
    cpu = paired([one[1] for one in bare], [one[1] for one in other], _added)
    return wall, cpu, [one[1] for one in bare]


def _added(bare: float, other: float) -> float:
    return other - bare


def _once(script: str, extra: Mapping[str, str]) -> tuple[float, float]:
    began = time.perf_counter()
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", script], environment(extra))
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise RuntimeError(f"the script ended with {os.waitstatus_to_exitcode(status)}")
    return wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000


def _threads_beyond_one(script: str, extra: Mapping[str, str]) -> int:
    command = [sys.executable, "-c", script + COUNT_THREADS]
    return subprocess.run(command, env=environment(extra), cwd=Path.cwd(), check=False).returncode
