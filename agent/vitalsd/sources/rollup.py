"""
What a process shares of its memory, from /proc/PID/smaps_rollup: PSS and USS, once in five minutes at most.

The kernel walks all pages for it: 8 ms per GiB of small pages and 0.2 us per mapping, and whatever the process
maps or unmaps meanwhile waits for the end. So a process above `memory.smaps_max_size` is left alone, a reading is
followed by a rest of twenty thousand times as long as it took, and one that has taken too long is the last of that
process. Newcomers get their first reading at moments spread over a minute, so that no round has them all.

The kernel takes the process's mmap lock for it, and where somebody sleeps with that, the reader sleeps as long. So
a thread reads, one process at a time, and what it has read is told in the round after.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable

import msgspec

from vitalsd.counts import count
from vitalsd.model import WorkerKey
from vitalsd.settings.units import format_size
from vitalsd.sources.files import read_file
from vitalsd.sources.permission import unreadable

__all__ = ["MOST_SECONDS", "PERIOD_SECONDS", "REST", "Rollup", "Rollups", "in_thread"]

PERIOD_SECONDS = 300.0
FIRST_SECONDS = 60.0
REST = 20_000.0
"""So ten workers have at most 0.05 % of a core together, and wait for less of their own time."""
MOST_SECONDS = 0.05
"""More than the size allows: hundreds of thousands of mappings, or a machine that has no time."""
GOLDEN = 0.618034
"""Multiples of it, modulo 1, lie far from each other however many there are."""
LOCKED_SECONDS = 10.0
"""A reading that has not come by then waits for the lock."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LINES = re.compile(rb"^(Pss|Private_Clean|Private_Dirty|Private_Hugetlb):[ \t]+(\d{1,15}) kB$", re.MULTILINE)


class Rollup(msgspec.Struct, frozen=True):
    """One reading, or why there is none."""

    proportional_bytes: int | None = None
    unique_bytes: int | None = None
    missing: str | None = None


def in_thread(read: Callable[[], None]) -> None:
    """Have this done without waiting for it; RuntimeError where there is no room for one more thread."""
    threading.Thread(target=read, name="vitalsd-rollup", daemon=True).start()


class Rollups:
    """The latest reading of each process, and when the next is due."""

    def __init__(self, max_size_bytes: int, start: Callable[[Callable[[], None]], None] = in_thread) -> None:
        self.max_size_bytes = max_size_bytes
        self._start = start
        self._due: dict[WorkerKey, float] = {}
        self._latest: dict[WorkerKey, Rollup] = {}
        self._newcomers = 0
        self._reading: tuple[WorkerKey, float] | None = None
        """Whose is being read, and since when."""
        self._came: tuple[Rollup, float] | None = None
        """What the thread has read, and for how long to rest after it."""

    def read(self, process: str, key: WorkerKey, now: float) -> Rollup:
        """What is known of the process at `/proc/PID`; it is read anew when that is due."""
        due = self._due.get(key)
        if due is None:
            self._newcomers += 1
            due = self._due[key] = now + FIRST_SECONDS * (self._newcomers * GOLDEN % 1)
        self._take(now)
        if now >= due and self._reading is None:
            self._begin(process, key, now)
            self._take(now)
        if self._reading is not None and self._reading[0] == key and now - self._reading[1] > LOCKED_SECONDS:
            return Rollup(missing="PSS is not told now: somebody holds the lock of the process's memory for long")
        return self._latest.get(key, Rollup())

    def _begin(self, process: str, key: WorkerKey, now: float) -> None:
        def measure() -> None:
            try:
                self._came = self._measure(process)
            except OSError:  # it has ended
                self._came = Rollup(), PERIOD_SECONDS

        self._reading = key, now
        try:
            self._start(measure)
        except RuntimeError as error:
            self._came = Rollup(missing=f"PSS is not read: {error}"), PERIOD_SECONDS

    def _take(self, now: float) -> None:
        """Keep what the thread has read."""
        if self._reading is None or self._came is None:
            return
        key, (rollup, rest) = self._reading[0], self._came
        self._reading = self._came = None
        if key in self._due:
            self._latest[key], self._due[key] = rollup, now + rest

    def forget(self, keys: set[WorkerKey]) -> None:
        """They are gone."""
        for key in keys:
            self._due.pop(key, None)
            self._latest.pop(key, None)

    def _measure(self, process: str) -> tuple[Rollup, float]:
        """A reading, and how long to rest after it."""
        resident = count(read_file(process + "/statm").split()[1]) * PAGE_BYTES
        if resident > self.max_size_bytes:
            limit = format_size(self.max_size_bytes)
            why = f"PSS is not read of a process whose resident memory is above {limit} (memory.smaps_max_size)"
            return Rollup(missing=why), PERIOD_SECONDS
        began = time.thread_time()
        try:
            lines = dict(LINES.findall(read_file(process + "/smaps_rollup")))
        except PermissionError:
            return Rollup(missing=unreadable(process, "smaps_rollup")), PERIOD_SECONDS
        except FileNotFoundError:
            if not os.path.isdir(process):  # noqa: PTH112 - text in
                return Rollup(), PERIOD_SECONDS
            return Rollup(missing="this kernel tells no PSS: smaps_rollup came with Linux 4.14"), float("inf")
        except ProcessLookupError:  # it has ended, and somebody has yet to collect it
            return Rollup(), PERIOD_SECONDS
        took = time.thread_time() - began
        if took > MOST_SECONDS:
            why = (
                f"reading PSS took {1000 * took:.0f} ms, and the process may have waited for that: it is not read "
                "again (very many mappings, or a slow machine)"
            )
            return Rollup(missing=why), float("inf")
        told = {name: int(number) * 1024 for name, number in lines.items()}
        private = [number for name, number in told.items() if name != b"Pss"]
        return Rollup(told.get(b"Pss"), sum(private) if private else None), max(PERIOD_SECONDS, REST * took)
