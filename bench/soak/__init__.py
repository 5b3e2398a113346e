"""
The soak: the agent with default settings and all its ways out, in 64 MiB of its own, beside 20 workers for long.

    make soak                       15 minutes
    SOAK_MINUTES=240 make soak      as long as you like

A pool of gunicorn, several uvicorns and four servers of Node, each with a probe, have light traffic; now and then
one stalls and another is replaced. A capture of each kind is asked for about once a minute. A scrape each five
seconds plays Prometheus, a listener to the stream the page; an Alertmanager and a collector are pushed to.

A slope is Theil and Sen's, of the lowest values of blocks of half a minute in the second half, and its interval
is of 95 % (`slopes.py`): memory grows for certain where its lower end is above zero. Half a megabyte an hour is
no leak: the agent remembers 2,000 captures, 1.5 KB and up to 29 objects of each, of which there are three hundred
an hour here. What it remembers of stalls, incidents and workers is full after some forty minutes: of less than
FULL_MINUTES its own growth is told, and held against nothing. The heaps of two Nodes drift apart by themselves: by
how much, two without a probe show.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Bar, Figure
from bench.ground import MemoryGroup, cgroup_with_memory
from bench.harness import scratch
from bench.soak.life import Lapses, Life, Traffic
from bench.soak.meter import LOOK_SECONDS, METER_SECONDS, Meter
from bench.soak.scene import Agent, Cast, Sink
from bench.soak.slopes import Point, lows, slope
from vitalsd.storage.file import WAL_BYTES

__all__ = ["BARS", "COUNTED", "KILLED", "SHOWS", "run"]

SHOWS = "the agent in a memory group of 64 MiB beside 20 workers, for long: never killed, and nothing grows"
LIMIT_BYTES = 64 << 20
MINUTES, QUICK_SECONDS = 15.0, 40.0
SIZES, QUICK_SIZES = (10, 6, 4), (3, 2, 2)
"""Workers of the pool, uvicorns, servers of Node."""
QUICK_HURRY = 4.0
BLOCK_SECONDS = 30.0
LEAST_BLOCKS = 4
KEPT = Bar(512, "KiB/h")
FULL_MINUTES = 80.0
FILLS = ("memory", "blocks")
"""What grows until all that has a bound has met it."""
REMEMBERED = Bar(300 * 29, "1/h")
QUOTA_BYTES = 1 << 30
NONE = Bar(0)
KILLED, ENDED = "processes that the kernel killed for memory", "ends of the agent"
FAILED, LOST, CUT = "requests that failed", "scrapes that were lost", "streams that broke off"
UNDONE, BROKEN = "captures that failed", "what the bench failed at"
COUNTED = (KILLED, ENDED, FAILED, LOST, CUT, UNDONE, BROKEN)
"""What must be none, however short it was."""
CONTROL = "memory of a Node beyond another, neither with a probe"
"""What the heaps of two processes of V8 differ by, whoever watches them."""
SERIES = "most series of a worker, in the mean"
DATABASES = 3
"""Incidents, captures and history, each with a log of its own."""
SLOPES = {
    "memory": "the agent's own memory",
    "a probe in Python": "memory of an uvicorn beyond its twin without a probe",
    "a probe in Node": "memory of a Node beyond its twin without a probe",
    "two Nodes": CONTROL,
}
FLAT = {
    "descriptors": "descriptors of the agent",
    "threads": "threads of the agent",
    "blocks": "objects of the agent (blocks)",
}
BARS = {
    **dict.fromkeys(COUNTED, NONE),
    **{f"growth for certain: {name}": KEPT for name in SLOPES.values() if name != CONTROL},
    **{f"growth for certain: {name}": REMEMBERED if key == "blocks" else NONE for key, name in FLAT.items()},
    SERIES: Bar(120),
    "SQLite": Bar(64 + 256, "MiB"),
    "its logs of writes (WAL)": Bar(DATABASES * WAL_BYTES >> 20, "MiB"),
    "captures stored": Bar(QUOTA_BYTES >> 20, "MiB"),
}


def run(quick: bool) -> list[Figure]:
    """All of it, at once."""
    seconds = QUICK_SECONDS if quick else 60 * float(os.environ.get("SOAK_MINUTES", MINUTES))
    sizes = QUICK_SIZES if quick else SIZES
    with contextlib.ExitStack() as stack:
        segments = stack.enter_context(scratch())
        # On a disk: files in memory would be in the group for good.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        cast = Cast(segments, *sizes)
        stack.callback(cast.close)
        group = stack.enter_context(cgroup_with_memory(LIMIT_BYTES))
        if group is None:
            print(f"Without the limit of {LIMIT_BYTES >> 20} MiB: no control group can be made here", flush=True)
        agent = Agent(folder, cast, stack.enter_context(Sink()))
        process = stack.enter_context(agent.begun(segments, group))
        agent.wait()
        life = Life(agent, cast, hurry=QUICK_HURRY if quick else 1.0)
        meter = Meter(process, group, agent.storage, cast, life.scrapes)
        life.go(meter.look, LOOK_SECONDS)
        life.go(meter.meter, METER_SECONDS)
        began = time.monotonic()
        with life:
            while time.monotonic() < began + seconds and _runs(process.pid):
                time.sleep(0.5)
            ended = not _runs(process.pid)
        return [
            Figure("workers", sum(sizes), ""),
            Figure("minutes", (time.monotonic() - began) / 60, ""),
            *_group(group, meter),
            Figure(ENDED, int(ended), "", NONE),
            *_agent(meter),
            *_life(life),
        ]


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"


def _group(group: MemoryGroup | None, meter: Meter) -> list[Figure]:
    if group is None:
        return []
    kept, most = "of the group, without pages of files", group.most_bytes
    return [
        Figure("limit of the group", LIMIT_BYTES / 2**20, "MiB"),
        Figure(KILLED, group.killed, "", NONE),
        Figure("how often the limit was met", group.met, ""),
        *([Figure("most of the group, with pages of files", most / 2**20, "MiB")] if most is not None else []),
        Figure(f"most {kept}", meter.most[kept] / 2**20, "MiB"),
        *(Figure(f"of a helper: {name}", size / 2**20, "MiB") for name, size in sorted(meter.helpers.items())),
    ]


def _life(life: Life) -> list[Figure]:
    captures = life.captures
    asked: list[Traffic | Lapses] = [*life.traffic, life.lapses]
    for (kind, state), count in sorted(captures.ended.items()):
        print(f"{kind}: {state}: {count}")
    for problem, count in captures.problems.most_common():
        print(f"{count} x {problem}")
    return [
        Figure("requests", sum(each.asked for each in asked), ""),
        Figure(FAILED, sum(each.failed for each in asked), "", NONE),
        Figure("stalls", life.lapses.asked, ""),
        Figure("workers replaced", life.restarts.count, ""),
        Figure("captures done", captures.of("done"), ""),
        Figure("captures refused", captures.of("refused"), ""),
        Figure(UNDONE, captures.of("failed") + captures.of("unanswered"), "", NONE),
        Figure("scrapes", life.scrapes.taken, ""),
        Figure(LOST, life.scrapes.lost, "", NONE),
        Figure("events heard", life.listener.events, ""),
        Figure(CUT, life.listener.cut, "", NONE),
        Figure(BROKEN, life.broken, "", NONE),
    ]


def _agent(meter: Meter) -> list[Figure]:
    series = {name: _second_half(points) for name, points in meter.series.items()}
    figures = [Figure("most resident memory of the agent", meter.most["resident"] / 2**20, "MiB")]
    for names, unit in ((SLOPES, "KiB/h"), (FLAT, "1/h")):
        for key, name in names.items():
            full = key not in FILLS or _minutes(meter.series[key]) >= FULL_MINUTES
            figures += _slope(name, unit, lows(series.get(key, []), BLOCK_SECONDS), barred=full)
    for key in ("descriptors", "threads"):
        figures.append(Figure(f"most {FLAT[key]}", max(value for _, value in meter.series[key]), ""))
    most = max((value for _, value in meter.series["series"]), default=0.0)
    figures.append(_barred(SERIES, most / meter.watched, ""))
    sizes = {"SQLite": ".db", "its logs of writes (WAL)": ".db-wal", "captures stored": "captures"}
    return figures + [_barred(name, meter.most[kind] / 2**20, "MiB") for name, kind in sizes.items()]


def _second_half(points: Sequence[Point]) -> list[Point]:
    middle = (points[0][0] + points[-1][0]) / 2
    return [point for point in points if point[0] >= middle]


def _minutes(points: Sequence[Point]) -> float:
    return (points[-1][0] - points[0][0]) / 60 if points else 0.0


def _slope(name: str, unit: str, points: Sequence[Point], *, barred: bool) -> list[Figure]:
    """With nothing to say below four blocks, which a quick run has not."""
    if len(points) < LEAST_BLOCKS:
        return []
    middle, low, high = slope(points)
    certain = f"growth for certain: {name}"
    growth = [Figure(certain, max(0.0, low), unit, BARS[certain] if barred else None)] if certain in BARS else []
    return [Figure(f"slope of {name}", middle, unit, interval=(low, high)), *growth]


def _barred(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit, BARS[name])
