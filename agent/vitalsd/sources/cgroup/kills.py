"""
The kernel's counters of processes that it has ended for memory, one of each group, read before and after an end.

A counter is a file that stays open for as long as a worker of its group is known, since the way to it may be
through a process that is gone by then: one descriptor a group, 5 us a reading. Where no group accounts for a
process, the host's counter in /proc/vmstat stands for it; it moves for everybody, so alone it tells of no target.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from vitalsd.model import WorkerKey
from vitalsd.sources.cgroup.finder import UnseenGroupError
from vitalsd.sources.cgroup.memory import find_memory_group
from vitalsd.sources.files import read_file

__all__ = ["KillCounters", "Moved"]

NAME = b"oom_kill"
BYTES = 16_384
"""More than /proc/vmstat has."""
CLAIMED_WITHIN_SECONDS = 3.0
"""A process of many gigabytes takes its time to end; whose nobody of ours was by then was none of ours."""
COUNTERS = {1: "memory.oom_control", 2: "memory.events"}


class Moved(msgspec.Struct, frozen=True):
    """Processes of a group that were killed and none of the workers."""

    group: str
    kills: int


class _Counter(msgspec.Struct):
    name: str | None
    listed: str
    """What /proc/PID/cgroup says of those in it."""
    descriptor: int
    settled: int
    """Kills of before, and those of workers."""
    moved_at: float | None = None
    """Since when it has been further than that."""


class KillCounters:
    """Those of every group that a worker is in."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._counters: dict[str | None, _Counter] = {}
        self._groups: dict[WorkerKey, str | None] = {}

    def follow(self, key: WorkerKey) -> None:
        """Know the group of this process, and what its counter says before it ends."""
        try:
            listed = read_file(f"{self._proc}/{key.pid}/cgroup").decode(errors="replace")
            known = next((each for each in self._counters.values() if each.listed == listed), None)
            counter = known if known is not None else self._find(key, listed)
        except (OSError, UnseenGroupError):
            return  # it is gone, or out of reach: the memory source says why
        if counter is not None:
            self._groups[key] = counter.name

    def _find(self, key: WorkerKey, listed: str) -> _Counter | None:
        group = find_memory_group(self._proc, key.pid, listed)
        name, path = None, f"{self._proc}/vmstat"
        if group is not None:
            name, path = group.levels[0].name, f"{group.levels[0].folder}/{COUNTERS[group.version]}"
        return self._counters.get(name) or self._open(name, listed, path)

    def leave(self, key: WorkerKey) -> None:
        """It is no worker of ours any more; with the last of a group its counter goes."""
        name = self._groups.pop(key, None)
        if name in self._counters and name not in self._groups.values():
            os.close(self._counters.pop(name).descriptor)

    def claim(self, key: WorkerKey) -> tuple[str | None] | None:
        """The group whose counter has moved by a kill that nobody has claimed yet, None where none has."""
        if key not in self._groups:
            return None
        counter = self._counters[self._groups[key]]
        count = _read(counter.descriptor)
        if count is None or count <= counter.settled:
            return None
        counter.settled += 1
        return (counter.name,)

    def settle(self, now: float) -> list[Moved]:
        """Kills that no worker has ended by, at CLOCK_MONOTONIC `now`; to be asked in each round."""
        moved = []
        for counter in self._counters.values():
            count = _read(counter.descriptor)
            if count is None or count <= counter.settled:
                counter.moved_at = None
                continue
            counter.moved_at = now if counter.moved_at is None else counter.moved_at
            if now - counter.moved_at >= CLAIMED_WITHIN_SECONDS:
                strays, counter.settled, counter.moved_at = count - counter.settled, count, None
                if counter.name is not None:
                    moved.append(Moved(counter.name, strays))
        return moved

    def members(self, group: str) -> list[WorkerKey]:
        """Workers that are in this group."""
        return [key for key, name in self._groups.items() if name == group]

    def _open(self, name: str | None, listed: str, path: str) -> _Counter | None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        count = _read(descriptor)
        if count is None:
            os.close(descriptor)
            return None
        counter = self._counters[name] = _Counter(name, listed, descriptor, count)
        return counter


def _read(descriptor: int) -> int | None:
    """None where the group is gone, or this kernel does not count."""
    try:
        rows = (line.partition(b" ") for line in os.pread(descriptor, BYTES, 0).split(b"\n"))
    except OSError:
        return None
    return next((int(number) for name, _, number in rows if name == NAME and number.isdigit()), None)
