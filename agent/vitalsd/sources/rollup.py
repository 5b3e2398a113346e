"""
What a process shares of its memory, from /proc/PID/smaps_rollup: PSS and USS, once in five minutes at most.

The kernel walks all pages for it: 8 ms per GiB of small pages and 0.2 us per mapping, and whatever the process
maps or unmaps meanwhile waits for the end. So a process above `memory.smaps_max_size` is left alone, a reading is
followed by a rest of twenty thousand times as long as it took, and one that has taken too long is the last of that
process. Newcomers get their first reading at moments spread over a minute, so that no round has them all.
"""

from __future__ import annotations

import os
import re
import time

import msgspec

from vitalsd.model import WorkerKey
from vitalsd.settings.units import format_size
from vitalsd.sources.files import read_file
from vitalsd.sources.permission import unreadable

__all__ = ["MOST_SECONDS", "PERIOD_SECONDS", "REST", "Rollup", "Rollups"]

PERIOD_SECONDS = 300.0
FIRST_SECONDS = 60.0
REST = 20_000.0
"""So ten workers have at most 0.05 % of a core together, and wait for less of their own time."""
MOST_SECONDS = 0.05
"""More than the size allows: hundreds of thousands of mappings, or a machine that has no time."""
GOLDEN = 0.618034
"""Multiples of it, modulo 1, lie far from each other however many there are."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LINES = re.compile(rb"^(Pss|Private_Clean|Private_Dirty|Private_Hugetlb):\s+(\d+) kB$", re.MULTILINE)


class Rollup(msgspec.Struct, frozen=True):
    """One reading, or why there is none."""

    proportional_bytes: int | None = None
    unique_bytes: int | None = None
    missing: str | None = None


class Rollups:
    """The latest reading of each process, and when the next is due."""

    def __init__(self, max_size_bytes: int) -> None:
        self.max_size_bytes = max_size_bytes
        self._due: dict[WorkerKey, float] = {}
        self._latest: dict[WorkerKey, Rollup] = {}
        self._newcomers = 0

    def read(self, process: str, key: WorkerKey, now: float) -> Rollup:
        """What is known of the process at `/proc/PID`, read anew when that is due."""
        due = self._due.get(key)
        if due is None:
            self._newcomers += 1
            due = self._due[key] = now + FIRST_SECONDS * (self._newcomers * GOLDEN % 1)
        if now >= due:
            self._latest[key], rest = self._measure(process)
            self._due[key] = now + rest
        return self._latest.get(key, Rollup())

    def forget(self, keys: set[WorkerKey]) -> None:
        """They are gone."""
        for key in keys:
            self._due.pop(key, None)
            self._latest.pop(key, None)

    def _measure(self, process: str) -> tuple[Rollup, float]:
        """A reading, and how long to rest after it."""
        resident = int(read_file(process + "/statm").split()[1]) * PAGE_BYTES
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
                raise
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
