"""
The kernel's counters of processes that it has ended for memory, one of each group, read before and after an end.

A counter is a file that stays open for as long as a worker of its group is known, since the way to it may be
through a process that is gone by then: one descriptor a group, 5 us a reading. Where no group accounts for a
process, the host's counter in /proc/vmstat stands for it. That moves for everybody: so what groups of ours account
for is taken off it, and what is left tells of no target by itself.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from vitalsd.model import WorkerKey
from vitalsd.sources.cgroup.finder import UnseenGroupError
from vitalsd.sources.cgroup.memory import find_memory_group
from vitalsd.sources.files import read_file
from vitalsd.targets.processes import has_gone

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
        self._listed: dict[WorkerKey, str] = {}
        """What /proc/PID/cgroup says of those that no group accounts for."""

    def follow(self, key: WorkerKey) -> None:
        """Know the group of this process, and what its counter says before it ends."""
        if key in self._groups:
            return
        try:
            listed = read_file(f"{self._proc}/{key.pid}/cgroup").decode(errors="replace")
            known = next((each for each in self._counters.values() if each.listed == listed), None)
            counter = known if known is not None else self._find(key, listed)
        except (OSError, UnseenGroupError):
            return  # it is gone, or out of reach: the memory source says why
        if counter is not None:
            self._groups[key] = counter.name
            if counter.name is None:
                self._listed[key] = listed

    def _find(self, key: WorkerKey, listed: str) -> _Counter | None:
        group = find_memory_group(self._proc, key.pid, listed)
        name, path = None, f"{self._proc}/vmstat"
        if group is not None:
            name, path = group.levels[0].name, f"{group.levels[0].folder}/{COUNTERS[group.version]}"
        return self._counters.get(name) or self._open(name, listed, path)

    def leave(self, key: WorkerKey) -> None:
        """It is no worker of ours any more; with the last of a group its counter goes."""
        if key not in self._groups:
            return
        name = self._groups.pop(key)
        self._listed.pop(key, None)
        if name in self._counters and name not in self._groups.values():
            os.close(self._counters.pop(name).descriptor)

    def claim(self, key: WorkerKey) -> tuple[str | None] | None:
        """The group whose counter has moved by a kill that nobody has claimed yet, None where none has."""
        if key not in self._groups:
            return None
        counter = self._counters[self._groups[key]]
        if self._unclaimed(counter) <= 0:
            return None
        self._settle(counter, 1)
        return (counter.name,)

    def _unclaimed(self, counter: _Counter) -> int:
        """How far it has moved beyond what is settled; the host's, also beyond what groups of ours account for."""
        count = _read(counter.descriptor)
        left = count - counter.settled if count is not None else 0
        if counter.name is None:
            left -= sum(max(0, self._unclaimed(each)) for each in self._counters.values() if each.name is not None)
        return left

    def _settle(self, counter: _Counter, kills: int) -> None:
        """So many are somebody's now; what a group has counted, the host has too."""
        counter.settled += kills
        host = self._counters.get(None)
        if host is not None and host is not counter:
            host.settled += kills

    def settle(self, now: float) -> list[Moved]:
        """Kills that no worker has ended by, at CLOCK_MONOTONIC `now`; to be asked in each round."""
        self._look_again()
        moved = []
        for counter in list(self._counters.values()):
            kills = self._unclaimed(counter)
            if kills <= 0:
                counter.moved_at = None
                continue
            counter.moved_at = now if counter.moved_at is None else counter.moved_at
            if now - counter.moved_at >= CLAIMED_WITHIN_SECONDS:
                counter.moved_at = None
                self._settle(counter, kills)
                if counter.name is not None:
                    moved.append(Moved(counter.name, kills))
        return moved

    @property
    def unsettled(self) -> bool:
        """Whether any counter had moved at the latest `settle`, and waits for somebody to claim that."""
        return any(counter.moved_at is not None for counter in self._counters.values())

    def _look_again(self) -> None:
        """Whom no group accounted for may have been put into one since: then the host's counter is not asked."""
        for key, before in list(self._listed.items()):
            with contextlib.suppress(OSError):
                listed = read_file(f"{self._proc}/{key.pid}/cgroup").decode(errors="replace")
                if listed != before and not has_gone(self._proc, key):
                    self.leave(key)
                    self.follow(key)

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
