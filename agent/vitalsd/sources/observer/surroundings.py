"""
What happened around a stall: throttling, pressure, and the busiest other thread of the process.

Read when a stretch has proved to be one, when it is told, and at its end: some 50 us, and 6 us for each other
thread, of which at most 64 are looked at. Whether its group is frozen is looked up twenty times a second, 7 us.
"""

from __future__ import annotations

import os
from pathlib import Path

from vitalsd.model import HostEvidence
from vitalsd.sources.cgroup.cpu import CpuGroup, find_cpu_group, most_throttled
from vitalsd.sources.cgroup.freezer import Freezer, find_freezer
from vitalsd.sources.observer.thread import scheduled_seconds
from vitalsd.sources.pressure import PressureFiles, find_pressure

__all__ = ["Places", "Surroundings", "find_places"]

MOST_THREADS = 64
READ_BYTES = 128
FREEZER_SECONDS = 0.05
Places = tuple[CpuGroup | None, PressureFiles, Freezer | None]


def find_places(proc: Path, pid: int) -> Places:
    """Where the accounts of a process's group are."""
    group = find_cpu_group(proc, pid)
    return group, find_pressure(proc, group.folders[0] if group is not None else None), find_freezer(proc, pid)


class Surroundings:
    """The surroundings of one stretch, from `now` on."""

    def __init__(self, process: str, tid: int, places: Places, now: float) -> None:
        self._process = process
        self._tid = tid
        self._group, self._pressure_files, self._freezer = places
        self._freezer_at = now
        self._began = now
        self._throttling = self._group.read() if self._group is not None else ()
        self._pressure = self._pressure_files.read()
        self._threads = self._others()

    def read(self, now: float) -> tuple[HostEvidence, float | None]:
        """What has happened since, and the share of a processor that the busiest other thread has had."""
        seconds = now - self._began
        if seconds <= 0:
            return HostEvidence(), None
        after = self._group.read() if self._group is not None else ()
        throttled = most_throttled(self._throttling, after)
        pressure = self._pressure_files.read()
        host = HostEvidence(
            throttled_seconds=throttled.throttled_seconds if throttled is not None else None,
            throttled_periods=throttled.throttled_periods if throttled is not None else None,
            periods=throttled.periods if throttled is not None else None,
            cpu_pressure_share=_share(self._pressure.cpu_seconds, pressure.cpu_seconds, seconds),
            memory_pressure_share=_share(self._pressure.memory_seconds, pressure.memory_seconds, seconds),
        )
        before = self._threads
        shares = [(cpu - before[tid]) / seconds for tid, cpu in self._others().items() if tid in before]
        return host, min(1.0, max(shares)) if shares else None

    def is_frozen(self, now: float) -> bool | None:
        """Whether its group is; None where that is not known, or was looked up a moment ago."""
        if self._freezer is None or now < self._freezer_at:
            return None
        self._freezer_at = now + FREEZER_SECONDS
        return self._freezer.is_frozen()

    def _others(self) -> dict[int, float]:
        """CPU time of the other threads."""
        found: dict[int, float] = {}
        try:
            names = os.listdir(self._process + "/task")  # noqa: PTH208 - a Path each would cost more than the reading
        except OSError:
            return found
        for name in names[:MOST_THREADS]:
            if name.isdecimal() and int(name) != self._tid:
                try:
                    with open(f"{self._process}/task/{name}/schedstat", "rb", buffering=0) as file:  # noqa: PTH123
                        seconds = scheduled_seconds(file.read(READ_BYTES))
                except OSError:
                    continue
                if seconds is not None:
                    found[int(name)] = seconds
        return found


def _share(before: float | None, after: float | None, seconds: float) -> float | None:
    return min(1.0, max(0.0, (after - before) / seconds)) if before is not None and after is not None else None
