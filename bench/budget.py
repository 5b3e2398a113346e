"""
What `vitalsd budget` costs a job of CI: until its command starts, after it has ended, and all processor time.

Runs with it and without alternate. The command does nothing, so all that is measured is the gate's.
"""

from __future__ import annotations

import os
import sys
import time

from bench.figures import Bar, Figure, estimate
from bench.harness import PROBE, environment, scratch

SHOWS = "what a job of CI pays for a budget around its command"
START = "until the command starts, added"
BARS = {START: Bar(250)}

RUNS = 20
TELLS_THE_TIME = "import time; print(time.time())"
SHORT_LOOP = "import asyncio; asyncio.run(asyncio.sleep(0))"


def run(quick: bool) -> list[Figure]:
    """Measure the gate around nothing, and a loop that waits for the probe of a whole life."""
    runs = RUNS // 10 if quick else RUNS
    gate = [sys.executable, "-m", "vitalsd", "budget", "--allow-empty", "--"]
    bare, gated = [], []
    for _ in range(runs):
        bare.append(_once([sys.executable, "-c", TELLS_THE_TIME]))
        gated.append(_once([*gate, sys.executable, "-c", TELLS_THE_TIME]))
    with scratch() as folder:
        whole = {**PROBE, "VITALSD_DIR": str(folder), "VITALSD_WHOLE_LIFE": "1"}
        short = [[sys.executable, "-c", SHORT_LOOP]] * runs
        loops = [(_once(words)[1], _once(words, whole)[1]) for words in short]
    pairs = list(zip(bare, gated, strict=True))
    return [
        estimate(START, [[gate[0] - alone[0] for alone, gate in pairs]], "ms", BARS[START]),
        estimate("until it is over, added", [[gate[1] - alone[1] for alone, gate in pairs]], "ms"),
        estimate("CPU time added", [[gate[2] - alone[2] for alone, gate in pairs]], "ms"),
        estimate("a short asyncio script with the probe, wall time added", [[b - a for a, b in loops]], "ms"),
    ]


def _once(words: list[str], extra: dict[str, str] | None = None) -> tuple[float, float, float]:
    """Milliseconds until the command told the time, where it does; in all; and of a processor."""
    read, write = os.pipe()
    nothing = os.open(os.devnull, os.O_WRONLY)
    began, wall = time.perf_counter(), time.time()
    streams = [(os.POSIX_SPAWN_DUP2, write, 1), (os.POSIX_SPAWN_DUP2, nothing, 2)]
    pid = os.posix_spawn(words[0], words, environment(extra or {}), file_actions=streams)
    os.close(write)
    os.close(nothing)
    with os.fdopen(read) as file:
        told = file.read().strip()
    _, status, usage = os.wait4(pid, 0)
    whole = time.perf_counter() - began
    if status:
        raise RuntimeError(f"{words} ended with {os.waitstatus_to_exitcode(status)}")
    started = (float(told) - wall) * 1000 if told else 0.0
    return started, whole * 1000, (usage.ru_utime + usage.ru_stime) * 1000
