"""
Memory accounts of control groups: use, limits, and how often a limit cost somebody something.

A reading of one group costs 60 us on version 1 and is shared by all of its processes, at most one in a second;
what the groups above it use is read once in 10 s where they have a limit, and limits once a minute, since the
kernel may have to gather the figures of many groups for the former.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from vitalsd.model import MemoryGroup
from vitalsd.sources.cgroup.finder import Controller, Group, Level, find_group
from vitalsd.sources.files import read_file

__all__ = ["ABOVE_SECONDS", "LIMITS_SECONDS", "OWN_SECONDS", "MemoryAccounts", "find_memory_group"]

MEMORY = Controller("memory", accounts_v1="memory.usage_in_bytes", accounts_v2="memory.current")
OWN_SECONDS = 1.0
ABOVE_SECONDS = 10.0
LIMITS_SECONDS = 60.0
NO_LIMIT = 2**60
"""Version 1 writes no limit as the greatest number of whole pages; nobody has an exbibyte."""


class _Limits(msgspec.Struct, frozen=True):
    """What one group may use; None is no limit."""

    memory: int | None
    swap: int | None
    high: int | None
    counts_below: bool
    """Whether what its children use is counted here too: not so in some groups of version 1."""


class _Use(msgspec.Struct, frozen=True):
    """What one group uses, read in one go."""

    used: int | None
    inactive_file: int | None
    reclaimable: int | None
    """Beside that: what the kernel takes back before it kills somebody."""
    limit_above: int | None
    """Version 1 tells the least limit of all groups above, those out of sight too."""
    swap_above: int | None

    @property
    def working_set(self) -> int | None:
        if self.used is None or self.inactive_file is None:
            return None
        return max(0, self.used - self.inactive_file)

    @property
    def kept(self) -> int | None:
        if self.working_set is None or self.reclaimable is None:
            return None
        return max(0, self.working_set - self.reclaimable)


MOST_DIGITS = 19
"""As the kernel writes 2**63."""


def find_memory_group(proc: Path, pid: int, groups: str | None = None) -> Group | None:
    """The group that accounts for the memory of a process, if one does; see `find_group`."""
    return find_group(proc, pid, MEMORY, groups)


class MemoryAccounts:
    """The accounts of every group that is asked for, each read once for everybody in it."""

    def __init__(self) -> None:
        self._limits: dict[str, tuple[float, _Limits]] = {}
        self._uses: dict[str, tuple[float, _Use]] = {}
        self._answers: dict[str, tuple[float, MemoryGroup]] = {}
        self._swept_at = 0.0

    def read(self, group: Group, now: float) -> MemoryGroup:
        """What the group says, a second old at most."""
        self._sweep(now)
        own = group.levels[0]
        known = self._answers.get(own.name)
        if known is None or now - known[0] >= OWN_SECONDS:
            known = self._answers[own.name] = now, self._gather(group, now)
        return known[1]

    def _gather(self, group: Group, now: float) -> MemoryGroup:
        own = group.levels[0]
        use = self._use(group, own, now, OWN_SECONDS)
        limits = [(own, self._limits_of(group, own, now))]
        for level in group.levels[1:]:
            here = self._limits_of(group, level, now)
            if not here.counts_below:
                break
            limits.append((level, here))
        memory = _least([use.limit_above, *(here.memory for _, here in limits)])
        events = _events(group.version, own.folder)
        rooms = self._rooms(group, limits, memory, now)
        return MemoryGroup(
            name=own.name,
            limit_bytes=memory,
            swap_limit_bytes=_least([use.swap_above, *(here.swap for _, here in limits)]),
            high_bytes=_least([here.high for _, here in limits]),
            used_bytes=use.used,
            working_set_bytes=use.working_set,
            headroom_bytes=_least([room for room, _ in rooms]),
            left_bytes=_least([left for _, left in rooms]) if all(left is not None for _, left in rooms) else None,
            oom_kills=events.get(b"oom_kill"),
            ooms=events.get(b"oom"),
            limit_hits=events.get(b"max"),
            high_hits=events.get(b"high"),
        )

    def _rooms(
        self, group: Group, limits: list[tuple[Level, _Limits]], least: int | None, now: float
    ) -> list[tuple[int, int | None]]:
        """
        Up to each limit, with what the kernel could take back and without; nothing when one is out of sight.

        It is not the least limit that need be met first.
        """
        rooms = []
        lowest = NO_LIMIT
        for level, here in limits:
            if here.memory is not None:
                age = OWN_SECONDS if level is group.levels[0] else ABOVE_SECONDS
                use = self._use(group, level, now, age)
                if use.working_set is None:
                    return []
                kept = use.kept
                left = max(0, here.memory - kept) if kept is not None else None
                rooms.append((max(0, here.memory - use.working_set), left))
                lowest = min(lowest, here.memory)
        return rooms if least is not None and least >= lowest else []

    def _limits_of(self, group: Group, level: Level, now: float) -> _Limits:
        known = self._limits.get(level.name)
        if known is None or now - known[0] >= LIMITS_SECONDS:
            read = _limits_v2 if group.version == 2 else _limits_v1
            known = self._limits[level.name] = now, read(level.folder)
        return known[1]

    def _use(self, group: Group, level: Level, now: float, seconds: float) -> _Use:
        known = self._uses.get(level.name)
        if known is None or now - known[0] >= seconds:
            read = _use_v2 if group.version == 2 else _use_v1
            known = self._uses[level.name] = now, read(level.folder)
        return known[1]

    def _sweep(self, now: float) -> None:
        """Forget groups that nobody asks for any more."""
        if now - self._swept_at < LIMITS_SECONDS:
            return
        self._swept_at = now
        self._limits = {name: entry for name, entry in self._limits.items() if now - entry[0] < LIMITS_SECONDS}
        self._uses = {name: entry for name, entry in self._uses.items() if now - entry[0] < ABOVE_SECONDS}
        self._answers = {name: entry for name, entry in self._answers.items() if now - entry[0] < OWN_SECONDS}


def _limits_v2(folder: str) -> _Limits:
    # "max" is no number, and no limit
    memory, swap, high = (_number(f"{folder}/memory.{name}") for name in ("max", "swap.max", "high"))
    return _Limits(memory, swap, high, counts_below=True)


def _limits_v1(folder: str) -> _Limits:
    memory = _limited(_number(folder + "/memory.limit_in_bytes"))
    both = _limited(_number(folder + "/memory.memsw.limit_in_bytes"))
    swap = max(0, both - memory) if both is not None and memory is not None else None
    return _Limits(memory, swap, None, counts_below=_number(folder + "/memory.use_hierarchy") != 0)


def _use_v2(folder: str) -> _Use:
    stat = _table(folder + "/memory.stat")
    return _Use(
        used=_number(folder + "/memory.current"),
        inactive_file=stat.get(b"inactive_file"),
        reclaimable=_sum(stat.get(b"active_file"), stat.get(b"slab_reclaimable", 0)),
        limit_above=None,
        swap_above=None,
    )


def _use_v1(folder: str) -> _Use:
    stat = _table(folder + "/memory.stat")
    memory = _limited(stat.get(b"hierarchical_memory_limit"))
    both = _limited(stat.get(b"hierarchical_memsw_limit"))
    return _Use(
        used=_number(folder + "/memory.usage_in_bytes"),
        inactive_file=stat.get(b"total_inactive_file"),
        # How much of the kernel's own is names of files, version 1 does not tell: most of it, where it is much.
        reclaimable=_sum(stat.get(b"total_active_file"), _number(folder + "/memory.kmem.usage_in_bytes") or 0),
        limit_above=memory,
        swap_above=max(0, both - memory) if both is not None and memory is not None else None,
    )


def _events(version: Literal[1, 2], folder: str) -> dict[bytes, int]:
    """By the names of version 2."""
    if version == 2:
        return _table(folder + "/memory.events")
    told = {b"oom_kill": _table(folder + "/memory.oom_control").get(b"oom_kill")}  # since Linux 4.13
    # Where no swap is allowed, the limit of both is met first; Linux 6.18 does not count that.
    hits = [_number(f"{folder}/memory.{name}failcnt") for name in ("", "memsw.")]
    told[b"max"] = sum(known) if (known := [number for number in hits if number is not None]) else None
    return {name: number for name, number in told.items() if number is not None}


def _least(numbers: list[int | None]) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _sum(first: int | None, second: int) -> int | None:
    return first + second if first is not None else None


def _limited(number: int | None) -> int | None:
    return number if number is not None and number < NO_LIMIT else None


def _is_told(text: bytes) -> bool:
    """Whether it is a number; no limit is, in version 1, one of 19 digits."""
    return text.isdigit() and len(text) <= MOST_DIGITS


def _number(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if _is_told(text) else None


def _table(path: str) -> dict[bytes, int]:
    rows = (line.partition(b" ") for line in _read(path).split(b"\n"))
    return {name: int(number) for name, _, number in rows if _is_told(number)}


def _read(path: str) -> bytes:
    """A file of the group; nothing where this kernel, or this group, has none."""
    try:
        return read_file(path)
    except OSError:
        return b""
