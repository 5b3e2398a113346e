"""Whether what is told of a loop's delay is true, beside what others read of the same loop."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import peers
from bench.figures import Bar, Figure
from bench.harness import NODE_PROBE, PROBE, UVICORN, fetch, free_ports, scratch, served
from bench.questions.answer import Answer, Row
from bench.truth import PERIOD_SECONDS, PERIODS, WARM_UP_SECONDS, delta, histogram_quantile
from vitalsd.model import Histogram
from vitalsd.segment.reader import SegmentFile
from vitalsd.segment.vitals import read_vitals

QUESTION = "Is what they say of delay true?"
HOW = """
One service blocks its loop for 1 s in every 10 s, by turns asleep and computing, and keeps books; another does
nothing. What arrives at a random moment finds the loop blocked one time in ten and then waits for up to a second:
the truth is a median of nothing and a 99th percentile of 0.90 s. Everybody reads the same loop in the same process
for a minute, all services at the same time: ours as the agent has it of the segment, quantiles of the histogram as
Prometheus calculates them; the others as they are documented, each sample that they take, or what they tell a
scrape at the end of the minute (`python -m bench questions truth`).
"""
LOOPS = ("asyncio", "uvloop")
CLIENTS = ("prom-client", "@prometheus-io/client")
NODE = "Node"
P99 = "blocks 1 s in 10 s: p99"
OFF = "p99 off the truth"
IDLE_P99 = "idle: p99"
QUANTILES = ("blocks 1 s in 10 s: p50", P99), ("idle: p50", IDLE_P99)
BARS = {
    "asyncio": {OFF: Bar(5, "%"), IDLE_P99: Bar(1, "ms")},
    "uvloop": {OFF: Bar(5, "%"), IDLE_P99: Bar(2.5, "ms")},
    NODE: {OFF: Bar(5, "%"), IDLE_P99: Bar(1, "ms")},
}
NOTHING = "it sees no callback"
Quantiles = tuple[float, float]
"""p50 and p99, in seconds."""


@dataclass(frozen=True)
class Read:
    """Of one service within the window."""

    ours: Quantiles
    others: Mapping[str, Quantiles]
    truth: float
    """Its 99th percentile, by its books."""


def ask(quick: bool) -> Answer:
    """Blocking and idle, on each loop, all at the same time."""
    periods = 1 if quick else PERIODS
    asked = [(loop, idle) for loop in (*LOOPS, NODE) for idle in (False, True)]
    with ThreadPoolExecutor(len(asked)) as pool:
        found = dict(zip(asked, pool.map(lambda one: _window(*one, periods), asked), strict=True))
    truth = sum(found[loop, False].truth for loop in (*LOOPS, NODE)) / 3
    rows = [Row("the truth", _figures((0.0, truth), (0.0, 0.0), truth, {}))]
    for loop in (*LOOPS, NODE):
        blocking, idle = found[loop, False], found[loop, True]
        figures = _figures(blocking.ours, idle.ours, blocking.truth, BARS[loop])
        rows.append(Row(f"vitalsd, {loop}", figures, ours=True))
        for name, read in blocking.others.items():
            figures = _figures(read, idle.others.get(name), blocking.truth, {})
            rows.append(Row(f"{name}, {loop}", figures))
        if loop == "uvloop" and blocking.others:
            rows.append(Row("aiodebug, callbacks, uvloop", {P99: NOTHING}))
    return Answer(rows, _notes())


def _figures(
    blocking: Quantiles, idle: Quantiles | None, truth: float, bars: Mapping[str, Bar]
) -> dict[str, Figure | str]:
    figures: dict[str, Figure | str] = {}
    for names, read in zip(QUANTILES, (blocking, idle), strict=True):
        if read is not None:
            figures |= {
                name: Figure(name, 1000 * each, "ms", bars.get(name))
                for name, each in zip(names, read, strict=True)
            }
        if read is blocking:
            figures[OFF] = Figure(OFF, 100 * abs(blocking[1] / truth - 1), "%", bars.get(OFF))
    return figures


def _notes() -> list[str]:
    versions = {name: peers.version(name) for name in ("aiodebug", *CLIENTS)}
    missing = [name for name, version in versions.items() if version is None]
    notes = [", ".join(f"{name} {version}" for name, version in versions.items() if version is not None) + "."]
    return [*notes, f"Could not be installed here: {', '.join(missing)}."] if missing else notes


def _window(loop: str, idle: bool, periods: int) -> Read:
    """What is read of one service, in a window of whole periods that begins between two blocks."""
    with _service(loop, idle) as (port, clients, segment):
        middle = _books(port)["next_at"] - PERIOD_SECONDS / 2
        began = max(time.monotonic() + WARM_UP_SECONDS, middle)
        began = middle + PERIOD_SECONDS * math.ceil((began - middle) / PERIOD_SECONDS)
        time.sleep(began - time.monotonic())
        books = _books(port, "reset")
        if clients:
            fetch(f"http://127.0.0.1:{clients}/")
        before = _buckets(segment)
        time.sleep(began + periods * PERIOD_SECONDS - time.monotonic())
        others = json.loads(fetch(f"http://127.0.0.1:{clients}/")) if clients else {}
        after, books_after = _buckets(segment), _books(port)
    ours = delta(before, after)
    others = {**_own(books_after), **others}
    return Read(
        ours=(histogram_quantile(0.5, ours)[0], histogram_quantile(0.99, ours)[0]),
        others={name: (p50, p99) for name, (p50, p99) in others.items()},
        truth=_truth(books, books_after, periods * PERIOD_SECONDS),
    )


def _own(books: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """What the service itself has read of its loop."""
    if "readings" in books:
        return dict(books["readings"])
    resolutions = books.get("own_p99_seconds", {})
    return {
        f"monitorEventLoopDelay, {one} ms": (books["own_p50_seconds"][one], p99)
        for one, p99 in resolutions.items()
    }


def _truth(before: Mapping[str, Any], after: Mapping[str, Any], seconds: float) -> float:
    """By the books of the blocks: so long waits what comes in their first part, a hundredth of all the time."""
    blocks = after["blocks"] - before["blocks"]
    if not blocks:
        return 0.0
    return float((after["blocked_seconds"] - before["blocked_seconds"]) / blocks - 0.01 * seconds / blocks)


@contextlib.contextmanager
def _service(loop: str, idle: bool) -> Iterator[tuple[int, int, Path]]:
    """Its port, that of the clients of Prometheus in it, and its segment."""
    port, clients = free_ports(2)
    with scratch() as folder:
        extra = {"VITALSD_DIR": str(folder), **({"BENCH_IDLE": "1"} if idle else {})}
        if loop == NODE:
            installed = " ".join(name for name in CLIENTS if peers.version(name) is not None)
            extra |= {**NODE_PROBE, "BENCH_CLIENTS": installed, "NODE_PATH": str(peers.NODE_MODULES)}
            command = ["node", str(peers.HERE / "readings.js"), str(port), str(clients)]
        else:
            extra |= PROBE
            where = ("--app-dir", str(peers.HERE), "--loop", loop, "--port", str(port))
            application = "readings:app" if peers.version("aiodebug") is not None else "blocking:app"
            command = [peers.python(), *UVICORN, application, *where]
        with served(command, port, extra):
            (segment,) = folder.glob("*.seg")
            yield port, clients if loop == NODE else 0, segment


def _buckets(path: Path) -> dict[float, float]:
    """What the agent would tell of the first loop, by bound."""
    time.sleep(1.0)  # totals of a loop at rest are up to half a second and a wait old
    segment = SegmentFile(path)
    try:
        vitals = read_vitals(segment, time.monotonic(), time.time())
    finally:
        segment.close()
    if vitals is None:
        raise RuntimeError("the segment was being written all the time")
    histogram: Histogram = vitals.loops[0].delay
    counts = map(float, histogram.buckets)
    return dict(zip((*histogram.bounds, math.inf), counts, strict=True))


def _books(port: int, path: str = "") -> dict[str, Any]:
    books: dict[str, Any] = json.loads(fetch(f"http://127.0.0.1:{port}/{path}"))
    return books
