"""
How long a worker was kept from the processor: by others that ran, and by the quota of its control group.

/proc/PID/schedstat is open to everybody and costs 3 us a round; the kernel keeps it for each thread, and the file
of the process is that of its main thread, where an event loop mostly runs. A group's account costs 7 us for each
level, is shared by all workers in it, and is read at most once in a second. Which group it is, is asked once a
minute.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from vitalsd.counts import count
from vitalsd.model import CpuVitals, WorkerKey
from vitalsd.sources.cgroup.cpu import CpuGroup, place_cpu_group
from vitalsd.sources.cgroup.finder import UnseenGroupError
from vitalsd.sources.cgroup.places import KEPT_SECONDS, Places
from vitalsd.sources.files import read_file
from vitalsd.sources.registry import Worker, register

__all__ = ["CpuSource"]

OWN_SECONDS = 1.0
NO_SCHEDSTAT = "this kernel keeps no /proc/PID/schedstat: it was built without CONFIG_SCHED_INFO"


class _Place(msgspec.Struct, frozen=True):
    """Which group a process is in."""

    group: CpuGroup | None
    missing: str | None


@register
class CpuSource:
    """Waits for a processor, and throttling."""

    name = "cpu"
    fills = "cpu"

    def __init__(self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self._places = Places(proc, self._find, self._forget)
        self._answers: dict[str, tuple[float, float | None]] = {}

    def read(self, worker: Worker, missing: dict[str, str]) -> CpuVitals:
        """Read one worker."""
        now = self._clock()
        place = self._places.of(worker.key, now)
        if place.missing is not None:
            missing["cpu.throttled_seconds"] = place.missing
        throttled = self._throttled(place.group, now) if place.group is not None else None
        return CpuVitals(_runqueue(f"{self._proc}/{worker.key.pid}", missing), throttled)

    def _throttled(self, group: CpuGroup, now: float) -> float | None:
        own = group.folders[0]
        known = self._answers.get(own)
        if known is None or now - known[0] >= OWN_SECONDS:
            told = [each.throttled_seconds for each in group.read() if each is not None]
            known = self._answers[own] = now, max(told, default=None)
        return known[1]

    def _find(self, key: WorkerKey, groups: str, before: _Place | None) -> _Place:
        if before is not None and before.group is not None:
            return before
        try:
            return _Place(place_cpu_group(self._proc, key.pid, groups), None)
        except UnseenGroupError as why:
            return _Place(None, str(why))

    def _forget(self, _gone: set[WorkerKey], now: float) -> None:
        self._answers = {own: answer for own, answer in self._answers.items() if now < answer[0] + KEPT_SECONDS}


def _runqueue(process: str, missing: dict[str, str]) -> float | None:
    try:
        return count(read_file(process + "/schedstat").split()[1]) / 1e9
    except FileNotFoundError:
        if not os.path.isdir(process):  # noqa: PTH112 - text in
            raise
        missing["cpu.runqueue_seconds"] = NO_SCHEDSTAT
        return None
