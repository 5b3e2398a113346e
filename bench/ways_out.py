"""
What the ways out cost an agent of a hundred workers: a scrape, a push by OTLP, a message to an Alertmanager.

Workers are made up, with everything that one can have: their values do not matter to what writing them costs. The
agent's loop does the gathering, a thread makes the message of OTLP. A collector and an Alertmanager on the
loopback take what is sent and keep nothing.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from bench.figures import Bar, Figure
from bench.harness import ROOT, environment

__all__ = ["BARS", "SHOWS", "run"]

SHOWS = "processor time of a scrape and of a push by OTLP for 100 workers, series per worker, and what OTLP takes"
BARS = {
    "a scrape of 100 workers": Bar(100.0, "ms"),
    "series per worker, all that it can have": Bar(120),
    "memory that OTLP takes": Bar(8.0, "MiB"),
}
WORKERS = 100
ROUNDS, QUICK_ROUNDS = 30, 3
LOADING = """
import time
from vitalsd.settings.model import Otlp
from vitalsd_exporters.otlp import exporter

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon:"))

before, began = resident(), time.thread_time()
from vitalsd_exporters.otlp import encode, sender, starts
print(resident() - before, time.thread_time() - began)
"""


def run(quick: bool) -> list[Figure]:
    """All of it."""
    sys.path.append(str(ROOT / "tests"))
    rounds = QUICK_ROUNDS if quick else ROUNDS
    kib, seconds = map(float, _loading().split())
    return [
        *_scraped(rounds),
        *_pushed(rounds),
        Figure("memory that OTLP takes", kib / 1024, "MiB", BARS["memory that OTLP takes"]),
        Figure("loading it, once, beside the loop", 1000 * seconds, "ms"),
    ]


def _scraped(rounds: int) -> list[Figure]:
    from vitalsd_exporters.prometheus.collector import VitalsCollector
    from vitalsd_exporters.prometheus.text import render

    collector = VitalsCollector(_view())
    text = render(collector.families(), openmetrics=False)
    of_one = [line for line in text.splitlines() if b'target="many"' in line and b'worker="0"' in line]
    whole = _milliseconds(rounds, lambda: render(collector.families(), openmetrics=False))
    name = f"a scrape of {WORKERS} workers"
    each = "series per worker, all that it can have"
    return [
        Figure(name, whole, "ms", BARS[name]),
        Figure("its length", len(text) / 1024, "KiB"),
        Figure(each, len(of_one), "", BARS[each]),
    ]


def _pushed(rounds: int) -> list[Figure]:
    from vitalsd_exporters.otlp.encode import Moment, encode
    from vitalsd_exporters.otlp.starts import Starts
    from vitalsd_exporters.prometheus.collector import VitalsCollector

    collector, starts = VitalsCollector(_view()), Starts()
    moment = Moment(
        time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time() - 60.0, "bench", "bench:18780"
    )
    gathered = _milliseconds(rounds, lambda: list(collector.collect()))
    families = list(collector.collect())
    made = _milliseconds(rounds, lambda: encode(families, starts, moment))
    message = encode(families, starts, moment)
    return [
        Figure(f"OTLP of {WORKERS} workers, on the agent's loop", gathered, "ms"),
        Figure(f"OTLP of {WORKERS} workers, in its thread", made, "ms"),
        Figure("its message", len(message.body) / 1024, "KiB"),
    ]


def _view() -> object:
    """Of a hundred workers of one loop each."""
    from msgspec.structs import replace
    from support.views import SHOP, WATCHED, FixedView

    from vitalsd.model import EXIT_REASONS

    assert WATCHED.probe is not None
    probe = replace(WATCHED.probe, loops=WATCHED.probe.loops[:1])
    workers = tuple(replace(WATCHED, target="many", slot=str(slot), probe=probe) for slot in range(WORKERS))
    ends = {worker.slot: dict.fromkeys(EXIT_REASONS, 1) for worker in workers}
    return FixedView(all_targets=(replace(SHOP, name="many", workers=workers, restarts=ends),), all_incidents=())


def _milliseconds(rounds: int, what: Callable[[], object]) -> float:
    """Processor time of one, the median of many."""
    took = []
    for _ in range(rounds):
        began = time.thread_time()
        what()
        took.append(1000 * (time.thread_time() - began))
    return median(took)


def _loading() -> str:
    """KiB and seconds, of an interpreter that has what an agent has before it pushes anything."""
    command = [sys.executable, "-c", LOADING]
    return subprocess.run(command, env=environment({}), check=True, capture_output=True, text=True).stdout
