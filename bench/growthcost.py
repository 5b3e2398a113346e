"""What telling growth costs: CPU time of an evaluation, memory of a worker's past, speed of `vitalsd backtest`."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec

from bench.harness import environment
from vitalsd.backtest import Backtest
from vitalsd.detect.growth.plan import plan_of
from vitalsd.detect.growth.watch import GrowthWatch
from vitalsd.history.points import Point
from vitalsd.settings.model import Settings

__all__ = ["backtest_rate", "evaluation_ms", "watch_kib"]

BEGAN = 1_760_000_000.0
DAY_MINUTES = 1440
PAST_DAYS = 8
ENCODER = msgspec.json.Encoder()


def busy_points(days: float, growth_per_hour: float, seed: int, worker: str = "0") -> Iterator[Point]:
    """Everything that can be known of a worker, once a minute; with growth it is always suspected or proven."""
    chance = Random(seed)
    base = chance.uniform(80, 200) * (1 << 20)
    for minute in range(int(days * DAY_MINUTES)):
        grown = 1 + growth_per_hour * minute / 60
        heap = grown * base * (0.6 + chance.gauss(0, 0.001))
        yield Point(
            t=BEGAN + 60.0 * minute,
            target="bench",
            worker=worker,
            start=BEGAN,
            rss_anon=round(grown * base * (1 + chance.gauss(0, 0.005))),
            swap=0,
            limit=1 << 30,
            heap_live=round(heap),
            heap_used=round(heap * 1.2),
            blocks=round(grown * 1e6 * (1 + chance.gauss(0, 0.001))),
            fds=round(grown * 60) + chance.randrange(8),
            threads=round(grown * 12),
            tasks=round(grown * 100) + chance.randrange(40),
        )


def evaluation_ms(growth_per_hour: float) -> tuple[float, float]:
    """Of one worker with eight days of past: CPU time in the mean of an evaluation, and the 99th percentile."""
    points = list(busy_points(PAST_DAYS + 1, growth_per_hour, 1))
    backtest, costs = Backtest(Settings()), []
    for _ in backtest.run(points[: PAST_DAYS * DAY_MINUTES]):
        pass
    # An evaluation is what five readings cost together: the one that ends a block of five minutes pays for all.
    rest = points[PAST_DAYS * DAY_MINUTES :]
    for first in range(0, len(rest), 5):
        began = time.thread_time_ns()
        for _ in backtest.run(rest[first : first + 5]):
            pass
        costs.append((time.thread_time_ns() - began) / 1e6)
    costs.sort()
    return sum(costs) / len(costs), costs[int(0.99 * len(costs))]


def watch_kib(growth_per_hour: float) -> float:
    """Memory of a worker's past after eight days, everything known, by what Python has allocated for it."""
    plan = plan_of(Settings())
    GrowthWatch(plan)
    tracemalloc.start()
    watch = GrowthWatch(plan)
    for point in busy_points(PAST_DAYS, growth_per_hour, 1):
        watch.add(point)
    del point
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used / 1024


def backtest_rate(lines: int, workers: int) -> float:
    """Samples a second of the whole command, its start included, on a file of so many lines."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "points.jsonl"
        _write(path, lines, workers)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "vitalsd", "backtest", "--json", str(path)]
        subprocess.run(command, env=environment({}), check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return lines / seconds


def _write(path: Path, lines: int, workers: int) -> None:
    """Workers take turns, as they do in a history."""
    days = lines / workers / DAY_MINUTES
    all_points = [list(busy_points(days, 0.0, number, str(number))) for number in range(workers)]
    with path.open("wb") as file:
        for points in zip(*all_points, strict=True):
            file.write(b"".join(ENCODER.encode(point) + b"\n" for point in points))
