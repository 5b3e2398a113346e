"""
What it costs to find ten services on a host of a thousand processes, and in a crowd that comes and goes.

The processes are real: `sleep` with as many arguments as a service has, and ten services with a worker each. CPU
time is that of the bench's own process around `Finder.find`, its reading thread included. A pass is looked at when
it is the first, while the processes are younger than 30 s (each is read again), and when they have settled (their
list is read, and every ten seconds a sixth of them).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.figures import Bar, Figure
from bench.harness import SERVICES
from vitalsd.targets.finder import Finder
from vitalsd.targets.folder import SegmentFolder
from vitalsd.targets.processes import REFRESH_SECONDS, SETTLED_SECONDS
from vitalsd.targets.rules import TargetRule

SHOWS = "CPU of finding 10 targets among 1,000 processes"
PASS = Bar(50, "ms")
BARS = {"the first pass": PASS, "the most expensive pass after it": PASS}

PROCESSES, TARGETS = 1000, 10
INTERVAL_SECONDS = 5.0
ROUND_SECONDS = 3.0
PASSES = 60
"""Five minutes."""
CROWD = """
i=0
while [ $i -lt {count} ]; do
    sleep 100000 0.001 0.002 0.003 0.004 0.005 0.006 0.007 0.008 0.009 0.010 0.011 0.012 0.013 0.$i &
    i=$((i+1))
done
echo ready
wait
"""


def run(quick: bool) -> list[Figure]:
    """Start the crowd, and look at it for five minutes of the finder's own clock."""
    count = PROCESSES // 10 if quick else PROCESSES
    with _services(), _crowd(count - 2 * TARGETS):
        folder = SegmentFolder(list)
        rules = [TargetRule(f"target{number}", match=rf"pair\.py target{number}$") for number in range(TARGETS)]
        finder = Finder(rules, folder, INTERVAL_SECONDS)
        now = 1000.0
        first = _pass(finder, now)
        young = [_pass(finder, now := now + INTERVAL_SECONDS) for _ in range(5)]
        time.sleep(0.0 if quick else SETTLED_SECONDS + 1)
        finder.find(now := now + REFRESH_SECONDS)
        settled = [_pass(finder, now := now + INTERVAL_SECONDS) for _ in range(PASSES)]
        between = [_pass(finder, now) for _ in range(50)]
        found = finder.find(now)
        folder.close()
    assert all(len(seats) == 1 for seats in found.targets.values()), found
    assert {each.kind for each in found.supervisors.values()} == {"multiprocessing"}
    cost = sum(settled) / PASSES / INTERVAL_SECONDS + median(between) / ROUND_SECONDS
    return [
        Figure("the first pass", first, "ms", BARS["the first pass"]),
        Figure("a pass while all are young", median(young), "ms"),
        Figure("a pass over settled processes", median(settled), "ms"),
        Figure("the most expensive pass after it", max(young + settled), "ms", PASS),
        Figure("a round between two passes", median(between), "ms"),
        Figure("of a core, on such a host", 100 * cost / 1000, "%"),
    ]


def _pass(finder: Finder, now: float) -> float:
    """CPU milliseconds of one look, all threads of this process together."""
    began = time.process_time()
    finder.find(now)
    return 1000 * (time.process_time() - began)


@contextlib.contextmanager
def _services() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for number in range(TARGETS):
            stack.enter_context(_session([sys.executable, "-I", "-S", "pair.py", f"target{number}"], SERVICES))
        yield


@contextlib.contextmanager
def _crowd(count: int) -> Iterator[None]:
    with _session(["sh", "-c", CROWD.format(count=count)]):
        yield


@contextlib.contextmanager
def _session(command: list[str], folder: Path | None = None) -> Iterator[None]:
    """Start a command that says `ready`, and end all that it has started: nobody else is in its process group."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
