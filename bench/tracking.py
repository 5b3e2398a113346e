"""
What tracking allocations costs the service: the longest delay of a loop that ticks each millisecond as tracking
starts and as it ends, on a heap of 200 MB; the speed of a saturated web service while it is tracked, over what it
was before and is after; and what the process grows by meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.figures import Bar, Figure
from bench.harness import PROBE, Process, cores, process, scratch, wait_for, web_service
from bench.load import Load, load
from vitalsd.capture.census import socket_of
from vitalsd.capture.tracking import Recording, track
from vitalsd.cli.memray_parts import own_memray

SHOWS = "delay as tracking starts and ends on a service of 200 MB, and throughput meanwhile"
PAUSE = Bar(20, "ms")
STARTS, ENDS = "longest delay as tracking starts", "longest delay as tracking ends"
BARS = {STARTS: PAUSE, ENDS: PAUSE}
OBJECTS = 1_900_000
ROUNDS, SECONDS = 9, 2.0
SERVICES, LOADED_SECONDS = 4, 3.0


def run(quick: bool) -> list[Figure]:
    """The pauses first, then the throughput."""
    return [*_pauses(2 if quick else ROUNDS), *_throughput(1 if quick else SERVICES)]


def _environment(folder: Path) -> dict[str, str]:
    memray = own_memray()
    assert memray is not None, "memray is a dependency"
    return {**PROBE, "VITALSD_DIR": str(folder), "VITALSD_MEMRAY": memray}


@contextlib.contextmanager
def _tracking(service: Process, segment: Path, seconds: float) -> Iterator[list[Recording]]:
    """Tracked from here on; over at the end of the block at the latest."""
    recordings: list[Recording] = []
    asked = track(socket_of(segment), service.pid, seconds, asyncio.Event())
    thread = threading.Thread(target=lambda: recordings.append(asyncio.run(asked)))
    thread.start()
    try:
        wait_for(lambda: _is_tracked(service) or not thread.is_alive(), "tracking to start")
        yield recordings
    finally:
        thread.join()
        for recording in recordings:
            os.close(recording.descriptor)


def _is_tracked(service: Process) -> bool:
    found = 0
    for path in Path(f"/proc/{service.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += str(path.readlink()).startswith("/memfd:vitalsd")
    return found == 2


def _pauses(rounds: int) -> list[Figure]:
    with scratch() as folder:
        command = [sys.executable, "holds.py", str(OBJECTS)]
        ready = lambda: any(folder.glob("*.seg.sock"))  # noqa: E731
        with process(command, _environment(folder), ready=ready) as service:
            wait_for(lambda: "ready" in service.output.read_text(), "the objects to be there")
            (segment,) = folder.glob("*.seg")
            quiet, starts, ends, told = [], [], [], []
            for number in range(rounds + 1):
                _report(service)
                time.sleep(SECONDS)
                quiet.append(_report(service))
                with _tracking(service, segment, SECONDS) as recordings:
                    time.sleep(SECONDS / 4)
                    starts.append(_report(service))
                    time.sleep(SECONDS / 2)
                    _report(service)
                ends.append(_report(service))
                told.append(recordings[0].pause_seconds)
                if number == 0:
                    first = starts.pop()  # which loads memray, too
                    ends.pop()
            memory = service.memory_bytes()
    return [
        Figure("memory of the service", memory["RssAnon"] / 1e6, "MB"),
        Figure("longest delay at rest", median(quiet) * 1000, "ms"),
        Figure("longest delay as memray is loaded and tracking starts", first * 1000, "ms"),
        Figure(STARTS, median(starts) * 1000, "ms", PAUSE),
        Figure(ENDS, median(ends) * 1000, "ms", PAUSE),
        Figure("longest of all these", max(*starts, *ends) * 1000, "ms"),
        Figure("pause that the probe tells", median(told) * 1000, "ms"),
    ]


def _throughput(services: int) -> list[Figure]:
    ratios, growth = [], []
    service_cores, load_cores = cores()
    for _ in range(services):
        with scratch() as folder, contextlib.ExitStack() as stack:
            service = stack.enter_context(web_service("uvicorn", extra=_environment(folder), pinned=service_cores))
            driver = stack.enter_context(load(load_cores))
            wait_for(lambda: any(folder.glob("*.seg.sock")), "the control socket")
            (segment,) = folder.glob("*.seg")
            driver.drive(service.port, 1.0)
            with _tracking(service, segment, 1.0):  # loads memray
                pass
            before, had = _rate(driver, service), service.memory_bytes()["RssAnon"]
            with _tracking(service, segment, LOADED_SECONDS + 2.0):
                during = _rate(driver, service)
                growth.append(service.memory_bytes()["RssAnon"] - had)
            after = _rate(driver, service)
            ratios.append((during / ((before + after) / 2), after / before))
    return [
        Figure("throughput of a saturated web service while tracked", median(one for one, _ in ratios), "x"),
        Figure("throughput afterwards", median(one for _, one in ratios), "x"),
        Figure("memory that it takes meanwhile", median(growth) / 1e6, "MB"),
    ]


def _rate(driver: Load, service: Process) -> float:
    """Requests per second of processor time."""
    before = service.cpu_seconds()
    requests = driver.drive(service.port, LOADED_SECONDS).requests
    return requests / (service.cpu_seconds() - before)


def _report(service: Process) -> float:
    """The longest wait since the last report."""
    known = _lines(service.output)
    os.kill(service.pid, signal.SIGUSR1)
    wait_for(lambda: len(_lines(service.output)) > len(known), "the service to report")
    return float(_lines(service.output)[-1].split()[3])


def _lines(output: Path) -> list[str]:
    return output.read_text().splitlines()
