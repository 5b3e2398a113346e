"""
Whether Node's numbers are true: an http service blocks 1 s in every 10 s, as `truth` has it for Python.

A callback scheduled at a random moment waits up to a second one time in ten: its 99th percentile is 0.90 s. What
Node's own monitorEventLoopDelay reads of the same service is beside it. Busy seconds are compared with Node's own
eventLoopUtilization.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.beside import Agent, agent_beside
from bench.figures import Bar, Figure
from bench.harness import NODE_PROBE, fetch, free_port, listens, process, scratch
from bench.truth import P99, PERIOD_SECONDS, PERIODS, WARM_UP_SECONDS, delta, histogram_quantile

SHOWS = "known answers of Node: delay quantiles of a service that blocks 1 s in every 10 s, and of an idle one"
BARS = {
    "|p99 - 0.90 s|, of 0.90 s": Bar(5, "%"),
    "bucket of p50": Bar(0.001, "s"),
    "busy seconds beside eventLoopUtilization": Bar(2, "%"),
    "idle: bucket of p99": Bar(0.001, "s"),
}
BUCKET = re.compile(
    r'^vitals_eventloop_delay_seconds_bucket\{(?=[^}]*target="bench")(?=[^}]*loop="main")'
    r'[^}]*le="([^"]+)"[^}]*\} (\S+)',
    re.MULTILINE,
)
BUSY = re.compile(
    r'^vitals_eventloop_busy_seconds_total\{(?=[^}]*target="bench")[^}]*loop="main"[^}]*\} (\S+)', re.MULTILINE
)
RESOLUTIONS = ("10", "20")


@dataclass(frozen=True)
class Scrape:
    """What the agent tells, and what the service itself does, at one moment."""

    buckets: dict[float, float]
    busy_seconds: float
    books: dict[str, Any]


def run(quick: bool) -> list[Figure]:
    """Compare with the truth, blocking and idle side by side."""
    with ThreadPoolExecutor() as pool:
        blocking, idle = pool.map(partial(_window, periods=1 if quick else PERIODS), (False, True))
    return [*_figures(*blocking), *_idle_figures(*idle)]


def _window(idle: bool, periods: int) -> tuple[Scrape, Scrape]:
    """What a service and its agent say at both ends of a window of whole periods."""
    with _service(idle) as (port, agent):
        middle = _books(port)["next_at"] - PERIOD_SECONDS / 2  # of the time between two blocks
        began = max(time.monotonic() + WARM_UP_SECONDS, middle)
        began = middle + PERIOD_SECONDS * math.ceil((began - middle) / PERIOD_SECONDS)
        time.sleep(began - time.monotonic())
        _books(port, "reset")
        before = _scrape(port, agent)
        time.sleep(began + periods * PERIOD_SECONDS - time.monotonic())
        return before, _scrape(port, agent)


def _figures(before: Scrape, after: Scrape) -> list[Figure]:
    p50, p99 = (histogram_quantile(share, delta(before.buckets, after.buckets)) for share in (0.5, 0.99))
    busy = after.busy_seconds - before.busy_seconds
    own_busy = after.books["busy_seconds"] - before.books["busy_seconds"]
    named = {
        "|p99 - 0.90 s|, of 0.90 s": (100 * abs(p99[0] - P99) / P99, "%"),
        "bucket of p50": (p50[1], "s"),
        "busy seconds beside eventLoopUtilization": (100 * abs(busy / own_busy - 1), "%"),
    }
    return [
        Figure("blocks in the window", after.books["blocks"] - before.books["blocks"], ""),
        Figure("p99", p99[0], "s"),
        *(Figure(name, value, unit, BARS[name]) for name, (value, unit) in named.items()),
        *_own(after, ""),
    ]


def _idle_figures(before: Scrape, after: Scrape) -> list[Figure]:
    p99, bucket = histogram_quantile(0.99, delta(before.buckets, after.buckets))
    name = "idle: bucket of p99"
    return [Figure("idle: p99", p99 * 1000, "ms"), Figure(name, bucket, "s", BARS[name]), *_own(after, "idle: ")]


def _own(after: Scrape, which: str) -> list[Figure]:
    """What Node itself reads."""
    read = after.books["own_p99_seconds"]
    return [
        Figure(f"{which}p99 of monitorEventLoopDelay, {one} ms", 1000 * read[one], "ms") for one in RESOLUTIONS
    ]


@contextlib.contextmanager
def _service(idle: bool) -> Iterator[tuple[int, Agent]]:
    """The port of a service with the probe, and the agent beside it, which sees its loop."""
    with scratch() as folder:
        port, segments = free_port(), folder / "segments"
        extra = {**NODE_PROBE, "VITALSD_DIR": str(segments), **({"BENCH_IDLE": "1"} if idle else {})}

        def ready() -> bool:
            return listens(port) and any(segments.glob("*.seg"))

        command = ["node", "blocking.js", str(port)]
        with contextlib.ExitStack() as stack:
            service = stack.enter_context(process(command, extra, ready=ready, port=port))
            yield port, stack.enter_context(agent_beside(folder, segments, service.pid))


def _books(port: int, path: str = "") -> dict[str, Any]:
    books: dict[str, Any] = json.loads(fetch(f"http://127.0.0.1:{port}/{path}"))
    return books


def _scrape(port: int, agent: Agent) -> Scrape:
    books = _books(port)
    time.sleep(0.2)  # totals in a segment are up to 100 ms old
    text = agent.exposition()
    buckets = {float(bound): float(count) for bound, count in BUCKET.findall(text)}
    return Scrape(buckets, sum(map(float, BUSY.findall(text))), books)
