"""
What a census of live objects costs the service it is taken of: the delay of a loop that ticks each millisecond,
at rest, during a census, and while the objects are counted by `gc.get_objects()` instead; and the processor time.

The heap is one of class instances with a list each, and is built with the collector switched off.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.figures import Bar, Figure
from bench.harness import PROBE, Process, process, scratch, wait_for
from vitalsd.capture.census import socket_of, take_census

SHOWS = "delay and processor time that a census of 0.1, 1 and 5 million objects adds, beside gc.get_objects()"
SIZES = {"0.1 M": 100_000, "1 M": 1_000_000, "5 M": 5_000_000}
BARS = {f"{size}: p99 delay added by a census": Bar(2, "ms") for size in SIZES} | {
    f"{size}: processor time of a census": Bar(0.8, "s") for size in SIZES
}
ROUNDS = 5
REST_SECONDS = 2.0
PLAIN_SECONDS = 3.0
NAME = "__main__.Session"


def run(quick: bool) -> list[Figure]:
    """One service of each size after the other."""
    return [figure for size in SIZES for figure in _figures(size, 1 if quick else ROUNDS)]


def _figures(size: str, rounds: int) -> list[Figure]:
    with scratch() as folder:
        extra = {**PROBE, "VITALSD_DIR": str(folder)}
        command = [sys.executable, "holds.py", str(SIZES[size])]
        with process(command, extra, ready=lambda: any(folder.glob("*.seg.sock"))) as service:
            wait_for(lambda: "ready" in service.output.read_text(), "the objects to be there")
            (segment,) = folder.glob("*.seg")
            rests, censuses, took, cpu, errors = [], [], [], [], []
            time.sleep(REST_SECONDS)
            _report(service)
            for _ in range(rounds):
                before = service.cpu_seconds()
                rests.append(_during(service, lambda: time.sleep(REST_SECONDS)))
                at_rest = (service.cpu_seconds() - before) / REST_SECONDS
                before, began = service.cpu_seconds(), time.monotonic()
                census = []
                asked = take_census(socket_of(segment), service.pid)
                censuses.append(_during(service, lambda: census.append(asyncio.run(asked))))  # noqa: B023
                took.append(time.monotonic() - began)
                cpu.append(service.cpu_seconds() - before - at_rest * took[-1])
                errors.append(abs(census[0].types[NAME][0] / (SIZES[size] // 2) - 1))
            plain = [_during(service, lambda: _count_plainly(service)) for _ in range(rounds)]
            share = census[0].share
    quiet = median(p99 for p99, _ in rests)
    added = (median(p99 for p99, _ in censuses) - quiet) * 1000
    named = f"{size}: p99 delay added by a census"
    cpu_named = f"{size}: processor time of a census"
    return [
        Figure(f"{size}: p99 delay at rest", quiet * 1000, "ms"),
        Figure(f"{size}: longest delay at rest", median(most for _, most in rests) * 1000, "ms"),
        Figure(named, added, "ms", BARS[named]),
        Figure(f"{size}: longest delay during a census", median(most for _, most in censuses) * 1000, "ms"),
        Figure(f"{size}: longest delay by gc.get_objects()", median(most for _, most in plain) * 1000, "ms"),
        Figure(cpu_named, median(cpu), "s", BARS[cpu_named]),
        Figure(f"{size}: a census takes", median(took), "s"),
        Figure(f"{size}: share of the memory looked at", share * 100, "%"),
        Figure(f"{size}: error of the count of instances", median(errors) * 100, "%"),
    ]


def _during(service: Process, happens: Callable[[], object]) -> tuple[float, float]:
    """99th percentile and maximum of the waits while this happens."""
    _report(service)
    happens()
    return _report(service)


def _count_plainly(service: Process) -> None:
    os.kill(service.pid, signal.SIGUSR2)
    time.sleep(PLAIN_SECONDS)


def _report(service: Process) -> tuple[float, float]:
    known = _lines(service.output)
    os.kill(service.pid, signal.SIGUSR1)
    wait_for(lambda: len(_lines(service.output)) > len(known), "the service to report")
    _, _, p99, most = map(float, _lines(service.output)[-1].split())
    return p99, most


def _lines(output: Path) -> list[str]:
    return output.read_text().splitlines()
