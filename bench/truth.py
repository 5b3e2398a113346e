"""
Whether the numbers are true: an unmodified uvicorn service, started by `vitalsd run`, blocks 1 s in every 10 s.

A callback scheduled at a random moment lands in a block one time in ten and then waits up to a second, so its
99th percentile is 0.90 s. The service keeps books of its blocks. Its server works between them too, if little: the
CPU clock of a twin without a probe tells how much.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.figures import Bar, Figure
from bench.harness import end, fetch, free_port, free_ports, listens, process, scratch

SHOWS = (
    "known answers: delay quantiles and busy time of a service that blocks 1 s in every 10 s, and of an idle one"
)
P99 = 0.90
LOOPS = ("asyncio", "uvloop")
BARS = {
    **{f"{loop}: |p99 - 0.90 s|, of 0.90 s": Bar(5, "%") for loop in LOOPS},
    **{f"{loop}: bucket of p50": Bar(0.001, "s") for loop in LOOPS},
    **{f"{loop}: busy seconds beside the truth": Bar(2, "%") for loop in LOOPS},
    "asyncio, idle: bucket of p99": Bar(0.001, "s"),
    "uvloop, idle: bucket of p99": Bar(0.0025, "s"),
}

PERIOD_SECONDS = 10.0
PERIODS = 6
WARM_UP_SECONDS = 5.0
BUCKET = re.compile(
    r'^vitals_eventloop_delay_seconds_bucket\{(?=[^}]*target="bench")[^}]*le="([^"]+)"[^}]*\} (\S+)', re.MULTILINE
)
BUSY = re.compile(r'^vitals_eventloop_busy_seconds_total\{(?=[^}]*target="bench")[^}]*\} (\S+)', re.MULTILINE)


@dataclass(frozen=True)
class Scrape:
    """What the agent tells, and what the service itself does, at one moment."""

    buckets: dict[float, float]
    busy_seconds: float
    blocked_seconds: float
    between_seconds: float
    """What the twin has computed between its blocks."""
    blocks: int


def run(quick: bool) -> list[Figure]:
    """Compare with the truth on both loops side by side, blocking first and idle then."""
    periods = 1 if quick else PERIODS
    figures = []
    with ThreadPoolExecutor() as pool:
        for idle, report in ((False, _figures), (True, _idle_figures)):
            windows = pool.map(partial(_window, idle=idle, periods=periods), LOOPS)
            for loop, window in zip(LOOPS, windows, strict=True):
                figures += report(loop, *window)
    return figures


def _window(loop: str, idle: bool, periods: int) -> tuple[Scrape, Scrape]:
    """What a service and its agent say at both ends of a window of whole periods."""
    with _service(loop, idle) as (port, metrics), _twin(loop, idle) as twin:
        books = _books(port)
        middle = books["next_at"] - PERIOD_SECONDS / 2  # of the time between two blocks, where nothing is cut
        began = max(time.monotonic() + WARM_UP_SECONDS, middle)
        began = middle + PERIOD_SECONDS * math.ceil((began - middle) / PERIOD_SECONDS)
        time.sleep(began - time.monotonic())
        before = _scrape(port, metrics, twin)
        time.sleep(began + periods * PERIOD_SECONDS - time.monotonic())
        return before, _scrape(port, metrics, twin)


def _figures(loop: str, before: Scrape, after: Scrape) -> list[Figure]:
    p50, p99 = (histogram_quantile(share, delta(before.buckets, after.buckets)) for share in (0.5, 0.99))
    busy = after.busy_seconds - before.busy_seconds
    true_busy = after.blocked_seconds - before.blocked_seconds + after.between_seconds - before.between_seconds
    named = {
        f"{loop}: |p99 - 0.90 s|, of 0.90 s": (100 * abs(p99[0] - P99) / P99, "%"),
        f"{loop}: bucket of p50": (p50[1], "s"),
        f"{loop}: busy seconds beside the truth": (100 * abs(busy / true_busy - 1), "%"),
    }
    return [
        Figure(f"{loop}: blocks in the window", after.blocks - before.blocks, ""),
        Figure(f"{loop}: p99", p99[0], "s"),
        Figure(f"{loop}: bucket of p99", p99[1], "s"),
        *(Figure(name, value, unit, BARS[name]) for name, (value, unit) in named.items()),
        Figure(f"{loop}: busy seconds", busy, "s"),
        Figure(f"{loop}: truly busy", true_busy, "s"),
    ]


def _idle_figures(loop: str, before: Scrape, after: Scrape) -> list[Figure]:
    p99, bucket = histogram_quantile(0.99, delta(before.buckets, after.buckets))
    name = f"{loop}, idle: bucket of p99"
    return [Figure(f"{loop}, idle: p99", p99 * 1000, "ms"), Figure(name, bucket, "s", BARS[name])]


@contextlib.contextmanager
def _service(loop: str, idle: bool) -> Iterator[tuple[int, int]]:
    """The ports of a service started by `vitalsd run`, and of its agent, which ends when the service does."""
    with scratch() as folder:
        port, metrics, control = free_ports(3)
        listen = ["--listen", f"127.0.0.1:{metrics}", "--control-listen", f"127.0.0.1:{control}"]
        command = [sys.executable, "-m", "vitalsd", "run", "--name", "bench", *listen, "--", *_uvicorn(loop, port)]
        extra = {"VITALSD_DIR": str(folder), "VITALSD__STORAGE__DIR": str(folder / "state"), **_environment(idle)}
        agents: set[int] = set()
        try:
            with process(command, extra, ready=lambda: listens(port) and _sees(metrics), port=port) as service:
                agents |= _agents_of(service.pid)
                yield port, metrics
        finally:
            for agent in agents:
                end(agent)


@contextlib.contextmanager
def _twin(loop: str, idle: bool) -> Iterator[int]:
    """The port of the same service without a probe."""
    port = free_port()
    with process(_uvicorn(loop, port), _environment(idle), ready=lambda: listens(port)):
        yield port


def _uvicorn(loop: str, port: int) -> list[str]:
    uvicorn = str(Path(sys.executable).with_name("uvicorn"))
    return [uvicorn, "blocking:app", "--port", str(port), "--loop", loop, "--log-level", "warning"]


def _environment(idle: bool) -> dict[str, str]:
    return {"BENCH_IDLE": "1"} if idle else {}


def _agents_of(pid: int) -> set[int]:
    wanted = f"watch\0--pid\0{pid}\0".encode()
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found


def _sees(port: int) -> bool:
    with contextlib.suppress(OSError):
        return bool(BUSY.search(fetch(f"http://127.0.0.1:{port}/metrics").decode()))
    return False


def _books(port: int) -> dict[str, float]:
    books: dict[str, float] = json.loads(fetch(f"http://127.0.0.1:{port}/"))
    return books


def _scrape(port: int, metrics: int, twin: int) -> Scrape:
    books = _books(port)
    time.sleep(0.2)  # totals in a segment are up to 100 ms old
    text = fetch(f"http://127.0.0.1:{metrics}/metrics").decode()
    buckets = {float(bound): float(count) for bound, count in BUCKET.findall(text)}
    busy = sum(map(float, BUSY.findall(text)))
    between = _books(twin)["cpu_between_seconds"]
    return Scrape(buckets, busy, books["blocked_seconds"], between, int(books["blocks"]))


def delta(before: Mapping[float, float], after: Mapping[float, float]) -> dict[float, float]:
    """What has come into each bucket in between."""
    return {bound: count - before[bound] for bound, count in after.items()}


def histogram_quantile(share: float, buckets: dict[float, float]) -> tuple[float, float]:
    """A quantile as PromQL interpolates it, and the bound of the bucket it lies in."""
    rank = share * buckets[math.inf]
    lower = below = 0.0
    for bound, count in sorted(buckets.items()):
        if count >= rank:
            inside = (rank - below) / (count - below) if count > below else 1.0
            return (lower if bound == math.inf else lower + (bound - lower) * inside), bound
        lower, below = bound, count
    raise ValueError("the buckets are not cumulative")
