"""
What the probe costs a service that does nothing: uvicorn with and without, all at the same time.

Every service settles first, so that start-up, the probe's own start and its first, more frequent looks are over.
"""

from __future__ import annotations

import contextlib
import time

from bench.figures import Bar, Figure, estimate, paired
from bench.harness import PROBE, Process, scratch, web_service

SHOWS = "CPU share the probe adds to an idle uvicorn service"
BARS = {"probe, asyncio": Bar(0.05, "% of a core"), "probe, uvloop": Bar(0.05, "% of a core")}

PAIRS = 3
SETTLE_SECONDS = 25.0
WINDOW_SECONDS = 20.0
WINDOWS = 3
BEATS_SECONDS = (0.02, 0.1)


def run(quick: bool) -> list[Figure]:
    """Measure pairs of services, and plain heartbeats for comparison."""
    with scratch() as folder, contextlib.ExitStack() as stack:
        groups: dict[str, list[Process]] = {}
        for loop in ("asyncio", "uvloop"):
            variants: dict[str, dict[str, str]] = {"bare": {}, "probe": {**PROBE, "VITALSD_DIR": str(folder)}}
            for beat in BEATS_SECONDS:
                variants[f"{beat * 1000:.0f} ms call_later heartbeat"] = {"BENCH_BEAT_SECONDS": str(beat)}
            for name, extra in variants.items():
                groups[f"{name}, {loop}"] = [
                    stack.enter_context(web_service("uvicorn", loop=loop, extra=extra))
                    for _ in range(1 if quick else PAIRS)
                ]
        time.sleep(SETTLE_SECONDS)
        measured_shares = shares(groups, 2.0 if quick else WINDOW_SECONDS)
        memory = {name: [one.memory_bytes()["VmRSS"] for one in group] for name, group in groups.items()}
    figures = []
    for name, measured in measured_shares.items():
        kind, loop = name.rsplit(", ", 1)
        bare = measured_shares[f"bare, {loop}"]
        if kind == "bare":
            figures.append(estimate(f"a bare service, {loop}", bare, "% of a core"))
            continue
        added = [paired(a, b, lambda x, y: y - x) for a, b in zip(bare, measured, strict=True)]
        figures.append(estimate(name, added, "% of a core", BARS.get(name)))
    for loop in ("asyncio", "uvloop"):
        more = [b - a for a, b in zip(memory[f"bare, {loop}"], memory[f"probe, {loop}"], strict=True)]
        figures.append(estimate(f"memory of the probe, {loop}", [[value / 2**20] for value in more], "MiB"))
    return figures


def shares(groups: dict[str, list[Process]], seconds: float) -> dict[str, list[list[float]]]:
    """Per cent of a core: by group, by process, by window."""
    everyone = [one for group in groups.values() for one in group]
    windows: list[dict[int, float]] = []
    before = {one.pid: (one.cpu_seconds(), time.monotonic()) for one in everyone}
    for _ in range(WINDOWS):
        time.sleep(seconds)
        after = {one.pid: (one.cpu_seconds(), time.monotonic()) for one in everyone}
        windows.append(
            {pid: 100 * (cpu - before[pid][0]) / (at - before[pid][1]) for pid, (cpu, at) in after.items()}
        )
        before = after
    return {name: [[window[one.pid] for window in windows] for one in group] for name, group in groups.items()}
