"""
What captures cost a loaded Node service: the longest that they hold its loop, and its throughput meanwhile.

A plain http server of Node's with the probe is saturated by one process, on a core of its own; a client in another
asks one request after the other. In turn a window without a capture and one with: what the probe has measured of
its pause, and the longest that the client has waited in both. The heap is that of the server itself, some MiB:
what a snapshot of a larger one holds grows with it. Throughput is that of rounds while a CPU profile runs over
rounds without, ABBA, past its start.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.figures import Bar, Figure, estimate, paired
from bench.harness import NODE_PROBE, Process, cores, scratch, wait_for, web_service
from bench.load import Load, load
from bench.profiles import _subject
from bench.throughput import Round, _ratio, _round
from bench.waits import Waits, waits
from vitalsd.capture.census import socket_of
from vitalsd.capture.engines.registry import Engine, Job, Made
from vitalsd.capture.engines.v8_cpu import V8Cpu
from vitalsd.capture.engines.v8_heap import V8Heap
from vitalsd.capture.engines.v8_memory import V8Memory
from vitalsd.segment.reader import SegmentFile
from vitalsd.segment.vitals import read_vitals
from vitalsd.settings.model import Settings

SHOWS = "how long captures hold a loaded Node service, by the probe and by a client, and throughput meanwhile"
BARS: dict[str, Bar] = {}
ENGINES: dict[str, Callable[[Settings], Engine]] = {"cpu": V8Cpu, "memory": V8Memory, "heap": V8Heap}
STARTS, CAPTURES = 3, 5
WARM_UP_SECONDS = 4.0
"""By then V8 has compiled what it will."""
WINDOW_SECONDS, QUICK_WINDOW_SECONDS = 4.0, 1.5
BEFORE_THE_END_SECONDS = 0.5
"""Of a window, a capture that watches is over: its end is in it."""
PAIRS, ROUNDS_A_PAIR = 6, 12
PROFILE_SECONDS = 600.0
PROFILES_SECONDS = 1.0
"""After it was asked for: it has begun by then."""


@dataclass
class Held:
    """Of the captures of one kind, in milliseconds, by start."""

    pauses: list[list[float]] = field(default_factory=list)
    with_one: list[list[float]] = field(default_factory=list)
    without: list[list[float]] = field(default_factory=list)


def run(quick: bool) -> list[Figure]:
    """Each start is a service of its own."""
    held = {kind: Held() for kind in ENGINES}
    per_second, per_cpu_second, heaps = [], [], []
    service_cores, load_cores = cores()
    for _ in range(1 if quick else STARTS):
        with scratch() as folder, contextlib.ExitStack() as stack:
            extra = {**NODE_PROBE, "VITALSD_DIR": str(folder)}
            service = stack.enter_context(web_service("node", extra=extra, pinned=service_cores))
            driver = stack.enter_context(load(load_cores))
            client = stack.enter_context(waits(service.port, load_cores))
            (segment,) = folder.glob("*.seg")
            wait_for(lambda: socket_of(segment).exists(), "the control socket")  # noqa: B023
            driver.drive(service.port, 0.5 if quick else WARM_UP_SECONDS)
            window = QUICK_WINDOW_SECONDS if quick else WINDOW_SECONDS
            bench = _Bench(service, driver, client, segment, window)
            for kind, of in held.items():
                bench.hold(ENGINES[kind](Settings()), of, 1 if quick else CAPTURES)
            heaps.append(_heap_bytes(segment))
            rest, during = bench.profiled(1 if quick else PAIRS)
        per_cpu_second.append(paired([x for x, _ in rest], [x for x, _ in during], _ratio))
        per_second.append(paired([x for _, x in rest], [x for _, x in during], _ratio))
    figures = [Figure("heap in use", median(heaps) / (1 << 20), "MiB")]
    for kind, of in held.items():
        figures += [
            estimate(f"`{kind}`: pause that the probe tells", of.pauses, "ms"),
            Figure(f"`{kind}`: the longest of these", max(max(start) for start in of.pauses), "ms"),
            estimate(f"`{kind}`: longest wait of a client in a window with one", of.with_one, "ms"),
            estimate(f"`{kind}`: longest wait in a window without", of.without, "ms"),
        ]
    return [
        *figures,
        estimate("throughput during a CPU profile, per CPU second", per_cpu_second, ""),
        estimate("throughput during a CPU profile, per second", per_second, ""),
    ]


class _Bench:
    """One service, its load and its client."""

    def __init__(self, service: Process, driver: Load, client: Waits, segment: Path, window: float) -> None:
        self._window_seconds = window
        self._service, self._driver, self._client, self._segment = service, driver, client, segment

    def hold(self, engine: Engine, held: Held, captures: int) -> None:
        """Windows with and without, in turn."""
        pauses, with_one, without = [], [], []
        for _ in range(captures):
            with self._loaded():
                time.sleep(self._window_seconds)
            without.append(1000 * self._client.longest_seconds())
            with self._loaded(), self._taking(engine, self._window_seconds - BEFORE_THE_END_SECONDS) as made:
                time.sleep(self._window_seconds)
            with_one.append(1000 * self._client.longest_seconds())
            pauses.append(1000 * made[0].pause_seconds)
        held.pauses.append(pauses)
        held.with_one.append(with_one)
        held.without.append(without)

    def profiled(self, pairs: int) -> tuple[list[Round], list[Round]]:
        """Rounds at rest and while it is profiled."""
        rounds: dict[bool, list[Round]] = {False: [], True: []}
        for pair in range(pairs):
            for looks in (False, True) if pair % 2 == 0 else (True, False):
                with contextlib.ExitStack() as stack:
                    if looks:
                        stack.enter_context(self._taking(V8Cpu(Settings()), PROFILE_SECONDS))
                        time.sleep(PROFILES_SECONDS)
                    rounds[looks] += [_round(self._driver, self._service) for _ in range(ROUNDS_A_PAIR)]
        return rounds[False], rounds[True]

    @contextlib.contextmanager
    def _loaded(self) -> Iterator[None]:
        """Saturated for a window, and until what is in the block is over."""
        driving = threading.Thread(target=self._driver.drive, args=(self._service.port, self._window_seconds))
        self._client.longest_seconds()
        driving.start()
        try:
            yield
        finally:
            driving.join()

    @contextlib.contextmanager
    def _taking(self, engine: Engine, seconds: float) -> Iterator[list[Made]]:
        """A capture from here on; at the end of the block it is ended, and there."""
        made: list[Made] = []
        with tempfile.TemporaryDirectory() as name:
            loop = asyncio.new_event_loop()
            subject = _subject(self._service.pid, self._segment)
            job = Job("bench", subject, seconds, Path(name), asyncio.Event(), 1 << 30)
            taking = threading.Thread(target=lambda: made.append(loop.run_until_complete(engine.take(job))))
            taking.start()
            try:
                yield made
            finally:
                if taking.is_alive():
                    loop.call_soon_threadsafe(job.stop.set)
                taking.join()
                loop.close()
        if not made:
            raise RuntimeError(f"there is no {engine.kind} capture")


def _heap_bytes(path: Path) -> int:
    segment = SegmentFile(path)
    try:
        return read_vitals(segment, time.monotonic(), time.time()).heap_used_bytes or 0
    finally:
        segment.close()
