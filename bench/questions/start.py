"""How long until something is known, and what starting costs: the agent, the commands, the probe in scripts."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.figures import Bar, Figure, estimate
from bench.harness import NODE_PROBE, PROBE, environment, fetch, free_ports, process, scratch
from bench.questions.answer import Answer, Row

QUESTION = "How soon is it there?"
HOW = """
Each is started again and again, in turn with what it is compared with, so that both meet the same host. The
agent's first sample is there when a scrape has the worker's memory; the worker runs already, with a probe in
it.
"""
WALL, BESIDE = "time", "of it, without vitalsd"
ROUNDS, QUICK_ROUNDS = 15, 2
BARS = {"`vitalsd --help`": Bar(150, "ms"), "`vitalsd watch`, from its start to its first sample": Bar(500, "ms")}
VITALSD = str(Path(sys.executable).with_name("vitalsd"))
Timed = Callable[[], float]
"""Seconds that it took."""


def ask(quick: bool) -> Answer:
    """Start everything in turn."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with scratch() as folder, contextlib.ExitStack() as stack:
        segments = folder / "segments"
        extra = {**PROBE, "VITALSD_DIR": str(segments)}
        worker = stack.enter_context(
            process([sys.executable, "worker.py"], extra, ready=lambda: any(segments.glob("*.seg")))
        )
        within = {"VITALSD_DIR": str(segments), "VITALSD__STORAGE__DIR": str(folder / "state")}
        bare: dict[str, Timed] = {
            "`vitalsd --help`": _script([sys.executable, "-c", "pass"]),
            "a short asyncio script under the probe": _script([sys.executable, "-c", ASYNCIO]),
            "`node -e 0` under the probe": _script(["node", "-e", "0"]),
            "`vitalsd run -- true`, until `true` has ended": _script(["true"]),
        }
        timed: dict[str, Timed] = {
            "`vitalsd --help`": _script([VITALSD, "--help"]),
            "`vitalsd watch`, from its start to its first sample": lambda: _first_sample(worker.pid, within),
            "a short asyncio script under the probe": _script([sys.executable, "-c", ASYNCIO], extra),
            "`node -e 0` under the probe": _script(["node", "-e", "0"], {**NODE_PROBE, **within}),
            "`vitalsd run -- true`, until `true` has ended": _script(
                [VITALSD, "run", *_listen(), "--", "true"], {"VITALSD__STORAGE__DIR": str(folder / "run")}
            ),
        }
        took: dict[str, list[float]] = {name: [] for name in timed}
        beside: dict[str, list[float]] = {name: [] for name in bare}
        for _ in range(rounds):
            for name, once in timed.items():
                took[name].append(1000 * once())
                if name in bare:
                    beside[name].append(1000 * bare[name]())
    return Answer([_row(name, took[name], beside.get(name)) for name in timed])


ASYNCIO = "import asyncio; asyncio.run(asyncio.sleep(0))"


def _row(name: str, took: Sequence[float], beside: Sequence[float] | None) -> Row:
    figures: dict[str, Figure | str] = {WALL: estimate(name, [took], "ms", BARS.get(name))}
    if beside is not None:
        figures[BESIDE] = estimate(name, [beside], "ms")
    return Row(name, figures, ours=True)


def _script(command: Sequence[str], extra: Mapping[str, str] | None = None) -> Timed:
    """A command, to its end."""

    def once() -> float:
        began = time.perf_counter()
        subprocess.run(
            command, env=environment(extra or {}), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        return time.perf_counter() - began

    return once


def _first_sample(pid: int, extra: Mapping[str, str]) -> float:
    """From the agent's start until a scrape has the worker."""
    listen = _listen()
    port = listen[0].rpartition(":")[2]
    command = [VITALSD, "watch", "--pid", str(pid), "--name", "bench", *listen]

    def has_sample() -> bool:
        with contextlib.suppress(OSError):
            return b'vitals_process_resident_memory_bytes{target="bench"' in fetch(
                f"http://127.0.0.1:{port}/metrics"
            )
        return False

    began = time.perf_counter()
    with process(command, extra, ready=has_sample):
        return time.perf_counter() - began


def _listen() -> tuple[str, str]:
    metrics, control = free_ports(2)
    return f"--listen=127.0.0.1:{metrics}", f"--control-listen=127.0.0.1:{control}"
