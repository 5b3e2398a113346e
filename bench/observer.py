"""
What the observer costs beside ten services without a probe, and how true the stalls are that it sees from outside.

The services are asyncio loops, half of them with little to do and half at work for a tenth of the time. Then two
others block their loops for 100 to 500 ms, asleep or computing by turns, and print when they did.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.figures import Bar, Figure, quantile
from bench.harness import Process, process, wait_for
from vitalsd.model import WorkerKey
from vitalsd.sources.observer import Ended, Followed, Observer
from vitalsd.targets.processes import read_key

SHOWS = "cost of watching ten services without a probe from outside; recall and length of their stalls"
BARS = {
    "CPU share of the observer": Bar(0.7, "% of a core"),
    "recall, 150 to 500 ms": Bar(98, "%", at_least=True),
    "median error of the length": Bar(10, "ms"),
    "stalls that were none": Bar(0),
}

SERVICES = 10
SETTLE_SECONDS = 8.0
WINDOW_SECONDS = 40.0
BLOCKING = 2
BLOCKING_SECONDS = 100.0
RECALLED_SECONDS = 0.15
"""What is shorter may be found at too few looks; its recall is a figure without a bar."""
NEAR_SECONDS = 0.1
WORKING = """
import asyncio, time
async def main():
    while True:
        end = time.thread_time() + 0.002
        while time.thread_time() < end:
            pass
        await asyncio.sleep({rest})
asyncio.run(main())
"""
BLOCKS = """
import asyncio, random, sys, time
async def main():
    chance = random.Random(int(sys.argv[1]))
    asleep = False
    while True:
        await asyncio.sleep(chance.uniform(0.5, 2.0))
        seconds, asleep = chance.uniform(0.1, 0.5), not asleep
        began = time.monotonic()
        if asleep:
            time.sleep(seconds)
        else:
            while time.monotonic() < began + seconds:
                pass
        print(began, time.monotonic() - began, int(asleep), flush=True)
asyncio.run(main())
"""


@dataclass(frozen=True)
class Block:
    """One block as the service has timed it."""

    began: float
    seconds: float
    asleep: bool


def run(quick: bool) -> list[Figure]:
    """Cost first, truth then."""
    return [*_cost(quick), *_truth(quick)]


def _cost(quick: bool) -> list[Figure]:
    told: list[object] = []
    with contextlib.ExitStack() as stack:
        rests = [0.05 if number % 2 else 0.018 for number in range(SERVICES)]
        services = [
            stack.enter_context(process([sys.executable, "-c", WORKING.format(rest=rest)], {})) for rest in rests
        ]
        observer = stack.enter_context(_observer(services, told))
        time.sleep(SETTLE_SECONDS)
        assert observer._thread is not None
        schedstat = Path(f"/proc/self/task/{observer._thread.native_id}/schedstat")
        before, began = _cpu(schedstat), time.monotonic()
        time.sleep(WINDOW_SECONDS / 10 if quick else WINDOW_SECONDS)
        share = 100 * (_cpu(schedstat) - before) / (time.monotonic() - began)
        interval = observer.interval_seconds
    name = "CPU share of the observer"
    return [
        Figure(name, share, "% of a core", BARS[name]),
        Figure("interval of its looks", interval * 1000, "ms"),
        Figure("late loops told of them", len(told), ""),
    ]


def _truth(quick: bool) -> list[Figure]:
    told: list[Ended] = []
    blocks: dict[int, list[Block]] = {}
    with contextlib.ExitStack() as stack:
        commands = [[sys.executable, "-c", BLOCKS, str(number)] for number in range(BLOCKING)]
        services = [stack.enter_context(process(command, {})) for command in commands]
        stack.enter_context(_observer(services, told))
        began = time.monotonic()
        time.sleep(BLOCKING_SECONDS / 10 if quick else BLOCKING_SECONDS)
        ended = time.monotonic()
        time.sleep(2.0)
        for service in services:
            rows = (line.split() for line in service.output.read_text().splitlines())
            blocks[service.pid] = [Block(float(a), float(b), c == "1") for a, b, c in rows]
    pairs, missed, false = _match(blocks, [event for event in told if isinstance(event, Ended)], began, ended)
    errors = {asleep: [abs(e) for block, e in pairs if block.asleep == asleep] for asleep in (True, False)}
    everything = [*errors[True], *errors[False]]
    long = [block for block, _ in pairs if block.seconds >= RECALLED_SECONDS]
    long_missed = [block for block in missed if block.seconds >= RECALLED_SECONDS]
    short, short_missed = len(pairs) - len(long), len(missed) - len(long_missed)
    figures = {
        "recall, 150 to 500 ms": (100 * len(long) / max(1, len(long) + len(long_missed)), "%"),
        "median error of the length": (1000 * median(everything), "ms"),
        "stalls that were none": (false, ""),
    }
    return [
        Figure("blocks", len(pairs) + len(missed), ""),
        *(Figure(name, value, unit, BARS[name]) for name, (value, unit) in figures.items()),
        Figure("recall, 100 to 150 ms", 100 * short / max(1, short + short_missed), "%"),
        Figure("median error, computing", 1000 * median(errors[False]), "ms"),
        Figure("median error, asleep", 1000 * median(errors[True]), "ms"),
        Figure("95th percentile of the error", 1000 * quantile(everything, 0.95), "ms"),
    ]


def _match(
    blocks: dict[int, list[Block]], told: list[Ended], began: float, ended: float
) -> tuple[list[tuple[Block, float]], list[Block], int]:
    """Blocks that were found, with the error of their length; those missed; and how many were made up."""
    pairs: list[tuple[Block, float]] = []
    missed: list[Block] = []
    used: set[int] = set()
    for pid, mine in blocks.items():
        for block in mine:
            if not began < block.began < ended:
                continue
            near = [
                event
                for event in told
                if event.key.pid == pid and abs(event.evidence.since - block.began) < NEAR_SECONDS
            ]
            used.update(id(event) for event in near)
            if near:
                pairs.append((block, max(event.evidence.seconds for event in near) - block.seconds))
            else:
                missed.append(block)
    return pairs, missed, sum(id(event) not in used for event in told if began < event.evidence.since < ended)


@contextlib.contextmanager
def _observer(services, told):
    """An observer that has found the loops of all services."""
    keys = [_key(service) for service in services]
    observer = Observer(told.append)
    observer.start()
    try:
        observer.follow([Followed("bench", str(n), key, None) for n, key in enumerate(keys)])
        wait_for(lambda: all(observer.observed(key) is not None for key in keys), "all loops to be found")
        yield observer
    finally:
        observer.stop()


def _key(service: Process) -> WorkerKey:
    key = read_key(Path("/proc"), service.pid)
    if key is None:
        raise RuntimeError(f"process {service.pid} has ended")
    return key


def _cpu(schedstat: Path) -> float:
    return int(schedstat.read_text().split()[0]) / 1e9
