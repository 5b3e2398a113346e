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
from vitalsd.sources.cgroup.places import Places
from vitalsd.sources.permission import unreadable
from vitalsd.sources.registry import Worker, register
from vitalsd.sources.rlimits import RLimits, read_rlimits
from vitalsd.sources.rollup import Rollups, in_thread

__all__ = ["MemorySource"]


class _Place(msgspec.Struct, frozen=True):
    """Where a process is accounted for, and what keeps it from having more."""

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
        self._places = Places(proc, self._find, lambda gone, _now: self._rollups.forget(gone))
        self._accounts = MemoryAccounts()
        self._rollups = Rollups(Settings().memory.smaps_max_size, start)

    def reconfigure(self, settings: Settings) -> None:
        """Take over the bound for PSS."""
        self._rollups.max_size_bytes = settings.memory.smaps_max_size

    def read(self, worker: Worker, missing: dict[str, str]) -> MemoryVitals:
        """Read one worker; what is read seldom is as it was read last."""
        now = self._clock()
        place = self._places.of(worker.key, now)
        missing |= place.missing
        group = self._accounts.read(place.group, now) if place.group is not None else None
        limit, kind = _least(group, place.own)
        rollup = self._rollups.read(f"{self._proc}/{worker.key.pid}", worker.key, now)
        if rollup.missing is not None:
            missing["memory.proportional_bytes"] = rollup.missing
        return MemoryVitals(limit, kind, group, rollup.proportional_bytes, rollup.unique_bytes)

    def _find(self, key: WorkerKey, groups: str, before: _Place | None) -> _Place:
        process = f"{self._proc}/{key.pid}"
        missing: dict[str, str] = {}
        group = before.group if before is not None else None
        if group is None:
            try:
                group = find_memory_group(self._proc, key.pid, groups)
            except UnseenGroupError as why:
                missing["memory.group"] = str(why)
        try:
            own = read_rlimits(process)
        except PermissionError:
            own, missing["memory.limit_bytes"] = RLimits(), unreadable(process, "limits")
        return _Place(group, own, missing)


def _least(group: MemoryGroup | None, own: RLimits) -> tuple[int | None, LimitKind | None]:
    limits: list[tuple[int | None, LimitKind]] = [
        (group.limit_bytes if group is not None else None, "group"),
        (own.address_space, "address_space"),
        (own.data, "data"),
    ]
    known = [(limit, kind) for limit, kind in limits if limit is not None]
    return min(known, key=lambda one: one[0], default=(None, None))
