"""
Memory of a worker as far as /proc/PID/status does not tell it: limits, the accounts of its control group, PSS.

10 us a round for each worker, and the reading of its group, which all workers in it share: see `cgroup.memory`.
Once a minute it is asked anew which group and which limits of its own the worker has (20 us, and 100 us where the
group is another than before). PSS costs much more and is read seldom, see `rollup`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from vitalsd.model import LimitKind, MemoryGroup, MemoryVitals, WorkerKey
from vitalsd.settings.model import Settings
from vitalsd.sources.cgroup.finder import Group, UnseenGroupError
from vitalsd.sources.cgroup.memory import MemoryAccounts, find_memory_group
from vitalsd.sources.files import read_file
from vitalsd.sources.permission import unreadable
from vitalsd.sources.registry import Worker, register
from vitalsd.sources.rlimits import RLimits, read_rlimits
from vitalsd.sources.rollup import Rollups, in_thread

__all__ = ["MemorySource"]

PLACE_SECONDS = 60.0
KEPT_SECONDS = 600.0
"""Whom nobody has asked for in this time is gone: longer than anybody's `sampling.interval`."""


class _Place(msgspec.Struct, frozen=True):
    """Where a process is accounted for, and what keeps it from having more."""

    until: float
    groups: str
    """/proc/PID/cgroup as it was read."""
    group: Group | None
    own: RLimits
    missing: dict[str, str]


@register
class MemorySource:
    """Limits, the group's accounts, and what is shared."""

    name = "memory"
    fills = "memory"

    def __init__(
        self,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self._proc = proc
        self._clock = clock
        self._places: dict[WorkerKey, _Place] = {}
        self._accounts = MemoryAccounts()
        self._rollups = Rollups(Settings().memory.smaps_max_size, start)

    def reconfigure(self, settings: Settings) -> None:
        """Take over the bound for PSS."""
        self._rollups.max_size_bytes = settings.memory.smaps_max_size

    def read(self, worker: Worker, missing: dict[str, str]) -> MemoryVitals:
        """Read one worker; what is read seldom is as it was read last."""
        now = self._clock()
        place = self._place(worker.key, now)
        missing |= place.missing
        group = self._accounts.read(place.group, now) if place.group is not None else None
        limit, kind = _least(group, place.own)
        rollup = self._rollups.read(f"{self._proc}/{worker.key.pid}", worker.key, now)
        if rollup.missing is not None:
            missing["memory.proportional_bytes"] = rollup.missing
        return MemoryVitals(limit, kind, group, rollup.proportional_bytes, rollup.unique_bytes)

    def _place(self, key: WorkerKey, now: float) -> _Place:
        known = self._places.get(key)
        if known is None or now >= known.until:
            if known is None:
                self._forget(now)
            known = self._places[key] = self._find(key, now, known)
        return known

    def _find(self, key: WorkerKey, now: float, before: _Place | None) -> _Place:
        process = f"{self._proc}/{key.pid}"
        groups = read_file(process + "/cgroup").decode(errors="replace")
        missing: dict[str, str] = {}
        group = before.group if before is not None else None
        if before is None or before.group is None or before.groups != groups:
            try:
                group = find_memory_group(self._proc, key.pid, groups)
            except UnseenGroupError as why:
                group, missing["memory.group"] = None, str(why)
        try:
            own = read_rlimits(process)
        except PermissionError:
            own, missing["memory.limit_bytes"] = RLimits(), unreadable(process, "limits")
        return _Place(now + PLACE_SECONDS, groups, group, own, missing)

    def _forget(self, now: float) -> None:
        gone = {key for key, place in self._places.items() if now >= place.until + KEPT_SECONDS}
        self._places = {key: place for key, place in self._places.items() if key not in gone}
        self._rollups.forget(gone)


def _least(group: MemoryGroup | None, own: RLimits) -> tuple[int | None, LimitKind | None]:
    limits: list[tuple[int | None, LimitKind]] = [
        (group.limit_bytes if group is not None else None, "group"),
        (own.address_space, "address_space"),
        (own.data, "data"),
    ]
    known = [(limit, kind) for limit, kind in limits if limit is not None]
    return min(known, key=lambda one: one[0], default=(None, None))
