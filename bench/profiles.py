"""
What CPU profiles and stack captures cost the service that they are taken of.

A web service with twenty idle threads beside its loop is saturated, pinned to one core, the load on the other, and
py-spy takes its time where it finds some. Rounds with a profile being taken and without follow each other, ABBA,
in one process. Beside it, as a reference, py-spy as it comes: every thread at 100 Hz, the process stopped for each
sample.

Stacks are taken of a service with two hundred threads whose loop ticks each millisecond: what the engine says of
its pause, and what the loop says of its delay meanwhile and at rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import msgspec

from bench.census import _during, _report
from bench.figures import Bar, Figure, estimate, paired
from bench.harness import PROBE, Process, cores, process, scratch, wait_for, web_service
from bench.load import load
from bench.throughput import Round, _ratio, _round
from vitalsd.capture.census import socket_of
from vitalsd.capture.engines.pyspy_cpu import PySpyCpu
from vitalsd.capture.engines.registry import Engine, Job, Made, Subject
from vitalsd.capture.engines.stacks import ProbeStackEngine, PySpyStacks
from vitalsd.capture.pyspy import find_pyspy
from vitalsd.model import WorkerSample
from vitalsd.settings.model import Settings
from vitalsd.targets.processes import read_key

SHOWS = "throughput during a CPU profile, and the pause of a stack capture"
THROUGHPUT = Bar(0.99, at_least=True)
PAUSE = Bar(10, "ms")
TWENTY = "CPU profile, 100 Hz, 20 threads"
ENGINES = {"py-spy": PySpyStacks, "probe": ProbeStackEngine}
BARS = {f"{TWENTY}, {per}": THROUGHPUT for per in ("per second", "per CPU second")} | {
    f"stacks of 200 threads by {name}: pause": PAUSE for name in ENGINES
}
STARTS, PAIRS, ROUNDS_A_PAIR = 3, 6, 12
REFERENCE_STARTS = 1
WARM_UP_SECONDS = 0.5
PROFILE_SECONDS = 600.0
STACK_ROUNDS = 7
REST_SECONDS = 2.0


def run(quick: bool) -> list[Figure]:
    """Profiles first."""
    return [*_profiles(quick), *_stacks(1 if quick else STACK_ROUNDS)]


def _profiles(quick: bool) -> list[Figure]:
    shares: list[float] = []
    ours = _compare(lambda pid: _profile(pid, shares), 1 if quick else STARTS, quick)
    plain = _compare(_as_it_comes, REFERENCE_STARTS, quick)
    return [
        estimate(f"{TWENTY}, per second", ours[0], "", THROUGHPUT),
        estimate(f"{TWENTY}, per CPU second", ours[1], "", THROUGHPUT),
        Figure(f"{TWENTY}, share of a core for py-spy", median(shares) * 100, "%"),
        estimate("py-spy record as it comes, per second", plain[0], ""),
        estimate("py-spy record as it comes, per CPU second", plain[1], ""),
    ]


Look = Callable[[int], contextlib.AbstractContextManager[None]]


def _compare(look: Look, starts: int, quick: bool) -> tuple[list[list[float]], list[list[float]]]:
    """Ratios by start: requests per second, and per CPU second, while somebody looks over those at rest."""
    per_second, per_cpu_second = [], []
    service_cores, load_cores = cores()
    for _ in range(starts):
        with (
            web_service("uvicorn", extra={"BENCH_THREADS": "20"}, pinned=service_cores) as service,
            load(load_cores) as driver,
        ):
            driver.drive(service.port, WARM_UP_SECONDS)
            rounds: dict[bool, list[Round]] = {False: [], True: []}
            for pair in range(1 if quick else PAIRS):
                for looks in (False, True) if pair % 2 == 0 else (True, False):
                    with look(service.pid) if looks else contextlib.nullcontext():
                        some = [_round(driver, service) for _ in range(ROUNDS_A_PAIR)]
                    rounds[looks] += some
        at_rest, during = rounds[False], rounds[True]
        per_cpu_second.append(paired([x for x, _ in at_rest], [x for x, _ in during], _ratio))
        per_second.append(paired([x for _, x in at_rest], [x for _, x in during], _ratio))
    return per_second, per_cpu_second


def _subject(pid: int, segment: Path | None = None) -> Subject:
    key = read_key(Path("/proc"), pid)
    worker = WorkerSample("bench", "0", key, time.time(), True, "", "none", None, None)
    return Subject(worker, segment)


@contextlib.contextmanager
def _profile(pid: int, shares: list[float]) -> Iterator[None]:
    """A profile by our engine, past its start."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loop = asyncio.new_event_loop()
        job = Job("bench", _subject(pid), PROFILE_SECONDS, folder, asyncio.Event(), 1 << 28)
        made: list[Made] = []
        taking = threading.Thread(
            target=lambda: made.append(loop.run_until_complete(PySpyCpu(Settings()).take(job))), daemon=True
        )
        taking.start()
        # Past the first look, so that the rounds are of one and the same recording.
        wait_for(lambda: "Sampling" in _text(folder / "rest.out"), "py-spy to sample")
        try:
            yield
        finally:
            loop.call_soon_threadsafe(job.stop.set)
            taking.join()
            loop.close()
        if made[0].summary["rate"] != 100 or made[0].summary["counted"] != "interpreter_lock":
            raise RuntimeError(f"that was another profile than is claimed: {made[0].summary}")
        shares.append(msgspec.convert(made[0].summary["profiler_cpu_share"], float))


@contextlib.contextmanager
def _as_it_comes(pid: int) -> Iterator[None]:
    """Without --nonblocking, without --gil."""
    with tempfile.TemporaryDirectory() as name:
        command = [find_pyspy(), "record", "--format", "raw", "--rate", "100", "--pid", str(pid)]
        with (Path(name) / "out").open("w") as output:
            spy = subprocess.Popen([*command, "-o", f"{name}/raw"], stdout=output, stderr=output)
        wait_for(lambda: "Sampling" in _text(Path(name) / "out"), "py-spy to sample")
        try:
            yield
        finally:
            spy.send_signal(2)
            spy.wait()


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _stacks(rounds: int) -> list[Figure]:
    with scratch() as folder:
        extra = {**PROBE, "VITALSD_DIR": str(folder), "BENCH_THREADS": "200"}
        command = [sys.executable, "holds.py", "1000"]
        with process(command, extra, ready=lambda: any(folder.glob("*.seg.sock"))) as service:
            wait_for(lambda: "ready" in service.output.read_text(), "the threads to be there")
            (segment,) = folder.glob("*.seg")
            assert socket_of(segment).exists()
            time.sleep(REST_SECONDS)
            _report(service)
            rests = [_during(service, lambda: time.sleep(REST_SECONDS))[1] for _ in range(rounds)]
            figures = [Figure("longest delay of a loop at rest, 200 threads", median(rests) * 1000, "ms")]
            for name, kind in ENGINES.items():
                figures += _of_engine(service, name, kind(Settings()), segment, rounds)
    return figures


def _of_engine(service: Process, name: str, engine: Engine, segment: Path, rounds: int) -> list[Figure]:
    pauses, delays, took = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            job = Job("bench", _subject(service.pid, segment), 0.0, Path(folder), asyncio.Event(), 1 << 28)
            began = time.monotonic()
            made: list[Made] = []
            _, longest = _during(service, lambda: made.append(asyncio.run(engine.take(job))))  # noqa: B023
            took.append(time.monotonic() - began)
            delays.append(longest)
            pauses.append(made[0].pause_seconds)
    named = f"stacks of 200 threads by {name}"
    return [
        Figure(f"{named}: pause", max(pauses) * 1000, "ms", PAUSE),
        Figure(f"{named}: longest delay of the loop", median(delays) * 1000, "ms"),
        Figure(f"{named}: takes, with the tasks", median(took), "s"),
    ]
