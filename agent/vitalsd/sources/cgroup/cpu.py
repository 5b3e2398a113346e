"""
CPU quotas of a process's control group: how often it was throttled, on cgroup v2 and v1.

A reading costs 7 us for the group and for each above it, since a quota of any of them holds the process up.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from vitalsd.counts import count
from vitalsd.sources.cgroup.finder import Controller, UnseenGroupError, find_group
from vitalsd.sources.files import read_file

__all__ = ["CpuGroup", "Throttling", "find_cpu_group", "most_throttled", "place_cpu_group"]

CPU = Controller("cpu", accounts_v1="cpu.stat", accounts_v2="cpu.stat")
LEVELS = 6


class Throttling(msgspec.Struct, frozen=True):
    """What a quota has cost a group; a kernel or a group without a quota tells nothing."""

    periods: int
    throttled_periods: int
    throttled_seconds: float


class CpuGroup(msgspec.Struct, frozen=True):
    """Where the CPU accounts of a process's group are, and of those above it."""

    folders: tuple[str, ...]
    """The group itself first."""

    def read(self) -> tuple[Throttling | None, ...]:
        """The accounts of each."""
        return tuple(_throttling(folder + "/cpu.stat") for folder in self.folders)


def find_cpu_group(proc: Path, pid: int) -> CpuGroup | None:
    """The group of a process, as this agent can reach it; None when it cannot."""
    try:
        return place_cpu_group(proc, pid)
    except (OSError, UnseenGroupError):
        return None


def place_cpu_group(proc: Path, pid: int, groups: str | None = None) -> CpuGroup | None:
    """The same, None where there is none; `groups` is what /proc/PID/cgroup says, where that has been read."""
    group = find_group(proc, pid, CPU, groups)
    return CpuGroup(tuple(level.folder for level in group.levels[:LEVELS])) if group is not None else None


def most_throttled(
    before: tuple[Throttling | None, ...], after: tuple[Throttling | None, ...]
) -> Throttling | None:
    """What has been added between two readings where it was most; None when nobody tells."""
    grown = [
        Throttling(
            max(0, last.periods - first.periods),
            max(0, last.throttled_periods - first.throttled_periods),
            max(0.0, last.throttled_seconds - first.throttled_seconds),
        )
        for first, last in zip(before, after, strict=True)
        if first is not None and last is not None
    ]
    return max(grown, key=lambda one: (one.throttled_seconds, one.throttled_periods, one.periods), default=None)


def _throttling(path: str) -> Throttling | None:
    try:
        lines = read_file(path).split(b"\n")
        known = {name: count(number) for name, _, number in (line.partition(b" ") for line in lines) if number}
    except (OSError, ValueError):
        return None
    if b"nr_periods" not in known or b"nr_throttled" not in known:
        return None
    seconds = (
        known[b"throttled_time"] / 1e9 if b"throttled_time" in known else known.get(b"throttled_usec", 0) / 1e6
    )
    return Throttling(known[b"nr_periods"], known[b"nr_throttled"], seconds)
