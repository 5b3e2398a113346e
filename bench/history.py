"""
What the history of a thousand workers takes on disk and in memory, and what keeping and reading it costs.

The services are made up: a level of 80 to 400 MiB with noise that wanders, a collector's sawtooth of 10 to 90
minutes, heap and blocks that differ by percents from reading to reading, descriptors and tasks that come and go.
Twenty are recorded, in the agent's own way and rhythm, and what was written of each is written of fifty workers:
rows are packed one by one, so that none gets smaller by its neighbours.
"""

from __future__ import annotations

import random
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Bar, Figure
from vitalsd.history.database import WORKER_BITS, Database, Reading
from vitalsd.history.minutes import Minutes
from vitalsd.history.points import Point
from vitalsd.history.replay import replay
from vitalsd.history.store import LONGEST_SECONDS

SHOWS = "what the history of 1,000 workers takes on disk and in memory; what keeping and reading it costs"
BARS = {
    "on disk, 1,000 workers and 8 days": Bar(200, "MB"),
    "in memory, 1,000 workers": Bar(25, "MB"),
    "in memory, 1,000 workers and no disk": Bar(25, "MB"),
    "CPU time to replay 10 workers and 8 days": Bar(1, "s"),
}

DAYS = 8
DISTINCT, COPIES = 20, 50
WORKERS = DISTINCT * COPIES
FEW = 10
BEGINS = 1_782_864_000.0
ROUND_SECONDS = 30.0
"""Two readings a minute differ as much as thirty do, for what is kept of them."""
INTERVAL_SECONDS = 2.0
MIB = 2**20
PAGE = 4096


def run(quick: bool) -> list[Figure]:
    """Record, and measure what that takes."""
    with tempfile.TemporaryDirectory(prefix="bench-history-") as folder:
        return [
            *_on_disk(Path(folder), 1 if quick else DAYS),
            _in_memory("in memory, 1,000 workers", taken=True),
            _in_memory("in memory, 1,000 workers and no disk", taken=False),
            _round(),
        ]


def _service(worker: str, seed: int, rounds: int) -> Iterator[Point]:
    """One worker of a service that rests little."""
    chance = random.Random(seed)
    level = chance.uniform(80, 400) * MIB
    saw, period = level * chance.uniform(0.05, 0.5), chance.uniform(600, 5400)
    noise = MIB * chance.uniform(0.3, 1.5)
    files, tasks, threads = chance.randrange(20, 400), chance.randrange(5, 200), chance.randrange(4, 40)
    wander, live = 0.0, int(level * 0.6)
    for number in range(rounds):
        t = BEGINS + number * ROUND_SECONDS + chance.uniform(0, 2)
        wander = 0.97 * wander + chance.gauss(0, 0.25) * noise
        garbage = saw * (number * ROUND_SECONDS / period % 1)
        if chance.random() < 0.25:
            live = int(level * 0.6 * chance.gauss(1, 0.01)) // 16 * 16
        if chance.random() < 0.005:
            threads = max(4, threads + chance.choice((-1, 1)))
        own = int(level + garbage + wander + abs(chance.gauss(0, noise))) // PAGE * PAGE
        yield Point(
            t,
            "shop",
            worker,
            BEGINS - 86_400.33,
            rss_anon=own,
            swap=0,
            limit=600 * MIB,
            heap_live=live,
            heap_used=int((live + garbage * 0.8) * chance.gauss(1, 0.005)) // 16 * 16,
            blocks=int((level + garbage) / 120 * chance.gauss(1, 0.02)),
            fds=int(files * (1 + abs(chance.gauss(0, 0.1)))),
            threads=threads,
            tasks=int(tasks * (1 + abs(chance.gauss(0, 0.3)))),
            left=max(0, 600 * MIB - own - int(abs(chance.gauss(0, noise))) // PAGE * PAGE),
        )


def _on_disk(folder: Path, days: int) -> Iterator[Figure]:
    seconds = days * 86_400
    rounds = int(seconds / ROUND_SECONDS)
    services = [_service(str(number), number, rounds) for number in range(DISTINCT)]
    recorded, everybody = Database(folder / "recorded.db"), Database(folder / "everybody.db")
    minutes = Minutes()
    spent, batches = 0.0, 0
    due = LONGEST_SECONDS
    for number in range(rounds):
        for service in services:
            minutes.keep(next(service))
        if (number + 1) * ROUND_SECONDS >= due or number == rounds - 1:
            due += LONGEST_SECONDS
            began = time.thread_time()
            recorded.add(minutes.drain())
            spent, batches = spent + time.thread_time() - began, batches + 1
            _copy(recorded, everybody, int(BEGINS + number * ROUND_SECONDS))
    recorded.close()
    everybody.close()
    size = (folder / "everybody.db").stat().st_size
    name = "on disk, 1,000 workers and 8 days"
    yield Figure(name, size * DAYS / days / 1e6, "MB", BARS[name])
    yield Figure("bytes for a minute of a worker", size / WORKERS / (seconds / 60), "")
    yield Figure("CPU time to write, for each worker", 1000 * spent / batches / DISTINCT, "ms")
    yield _replayed(folder / "recorded.db", days)
    began = time.perf_counter()
    Database(folder / "everybody.db").close()
    yield Figure("time to open and check that file", time.perf_counter() - began, "s")


def _copy(recorded: Database, everybody: Database, now: int) -> None:
    """Write what one batch has changed, for as many workers as there should be."""
    hours = {(now - int(LONGEST_SECONDS)) // 3600, now // 3600}
    with everybody._transaction():
        for hour in hours:
            for place, row in enumerate(recorded.rows.of(hour)):
                copies = range((hour << WORKER_BITS) + place, (hour << WORKER_BITS) + place + WORKERS, DISTINCT)
                everybody._connection.executemany(
                    everybody._insert("hour"), ((copy, row.records) for copy in copies)
                )


def _replayed(path: Path, days: int) -> Figure:
    rows, points = Reading(path), 0
    began = time.process_time()
    for batch in replay(rows, print, wanted=lambda place: int(place[1]) < FEW):
        points += len(batch)
    spent = time.process_time() - began
    rows.close()
    name = "CPU time to replay 10 workers and 8 days"
    assert points >= FEW * days * 1440
    return Figure(name, spent * DAYS / days, "s", BARS[name])


def _in_memory(name: str, *, taken: bool) -> Figure:
    """The most that two and a half hours take, when it is taken every four minutes, or never."""
    rounds, each = int(9000 / ROUND_SECONDS), int(LONGEST_SECONDS / ROUND_SECONDS)
    services = [_service(str(number), number % DISTINCT, rounds) for number in range(WORKERS)]
    minutes, highest = Minutes(), 0
    for service in services:
        next(service)
    tracemalloc.start()
    for number in range(1, rounds):
        for service in services:
            minutes.keep(next(service))
        highest = max(highest, tracemalloc.get_traced_memory()[0])
        if taken and number % each == 0:
            minutes.drain()
    tracemalloc.stop()
    return Figure(name, highest / 1e6, "MB", BARS[name])


def _round() -> Figure:
    """Ten workers, read every two seconds."""
    minutes, rounds = Minutes(), 5000
    points = [list(_service(str(number), number, rounds)) for number in range(FEW)]
    began = time.process_time()
    for number in range(rounds):
        for worker in points:
            minutes.keep(worker[number])
    spent = (time.process_time() - began) / rounds
    return Figure("CPU share of keeping 10 workers", 100 * spent / INTERVAL_SECONDS, "% of a core")
