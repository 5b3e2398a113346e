"""
Puts rules, processes, segments and slots together: which worker sits where right now.

The process table is read every `discovery_interval`, and at once when a segment appears or a worker goes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from vitalsd.model import WorkerKey
from vitalsd.segment.reader import SegmentFile
from vitalsd.targets.folder import SegmentFolder
from vitalsd.targets.processes import Process, ProcessTable, read_key, scrub
from vitalsd.targets.rules import TargetRule, workers_by_segment, workers_of
from vitalsd.targets.slots import Slots

__all__ = ["Finder", "Found", "Seat"]

OWN_TARGET = "vitalsd"
"""The agent watches itself under this name."""


class Seat(msgspec.Struct, frozen=True):
    """One slot of one target and who sits there."""

    target: str
    slot: str
    key: WorkerKey | None
    command: str
    segment: SegmentFile | None
    restarts: int


class Found(msgspec.Struct, frozen=True):
    """All targets with their seats."""

    targets: dict[str, tuple[Seat, ...]]


class Finder:
    """Finds and follows the workers of every target."""

    def __init__(
        self,
        rules: Iterable[TargetRule],
        folder: SegmentFolder,
        discovery_interval_seconds: float,
        proc: Path = Path("/proc"),
    ) -> None:
        self._rules = tuple(rules)
        self._folder = folder
        self._interval = discovery_interval_seconds
        self._proc = proc
        self._processes = ProcessTable(proc)
        self._slots: dict[str, Slots] = {rule.name: Slots() for rule in self._rules}
        self._table: dict[int, Process] = {}
        self._segment_pids: set[int] = set()
        self._read_table_at = 0.0
        self._masters: set[WorkerKey] = set()
        self._seen_as_masters: set[WorkerKey] = set()

    def reconfigure(self, rules: Iterable[TargetRule], discovery_interval_seconds: float) -> None:
        """Follow other rules from now on; targets that stay keep their slots."""
        self._rules = tuple(rules)
        self._interval = discovery_interval_seconds
        self._slots = {rule.name: self._slots.get(rule.name, Slots()) for rule in self._rules}
        self._read_table_at = 0.0

    def find(self, now: float) -> Found:
        """The workers at CLOCK_MONOTONIC `now`."""
        segments = self._folder.refresh(now)
        fresh = self._is_stale(segments, now)
        if fresh:
            self._table = self._processes.refresh(now)
            self._read_table_at = now + self._interval
            self._segment_pids = set(segments)
        alive = {process.key for process in self._table.values()}
        self._masters &= alive
        for name, pids in self._members(segments, fresh).items():
            keys = [self._table[pid].key for pid in pids if pid in self._table]
            self._slots.setdefault(name, Slots()).assign(keys, now, alive)
        seats = {name: tuple(self._seats(name, slots, segments)) for name, slots in self._slots.items()}
        ruled = {rule.name for rule in self._rules}
        for name, found in list(seats.items()):
            if not found and name not in ruled:
                del seats[name], self._slots[name]
        return Found(seats)

    def _is_stale(self, segments: dict[int, SegmentFile], now: float) -> bool:
        if now >= self._read_table_at or segments.keys() != self._segment_pids:
            return True
        seated = [key for slots in self._slots.values() for key in slots.seated().values() if key is not None]
        gone = [key.pid for key in seated if not self._is_alive(key)]
        for pid in gone:
            self._processes.forget(pid)
        return bool(gone)

    def _is_alive(self, key: WorkerKey) -> bool:
        return read_key(self._proc, key.pid) == key

    def _members(self, segments: dict[int, SegmentFile], fresh: bool) -> dict[str, set[int]]:
        agent = {os.getpid()}
        taken: set[int] = set()
        perhaps: set[WorkerKey] = set()
        members: dict[str, set[int]] = {name: set() for name in self._slots}
        for rule in self._rules:
            tree = workers_of(rule, self._table, segments, agent, self._masters)
            members[rule.name] = set(tree.workers - taken)
            taken |= tree.workers
            self._masters |= {self._table[pid].key for pid in tree.masters}
            perhaps |= {self._table[pid].key for pid in tree.perhaps_masters}
        if fresh:  # once may have been the moment between a fork and what it executes
            self._masters |= perhaps & self._seen_as_masters
            self._seen_as_masters = perhaps
        names = {pid: segment.header.target for pid, segment in segments.items() if self._may_list(pid, segment)}
        for name, pids in workers_by_segment(names, self._table, taken).items():
            members[name] = members.get(name, set()) | pids
        return members

    def _may_list(self, pid: int, segment: SegmentFile) -> bool:
        """Where rules say what to watch, nothing else is; other agents watch themselves."""
        if segment.header.target == OWN_TARGET:
            return pid == os.getpid()
        return not self._rules

    def _seats(self, name: str, slots: Slots, segments: dict[int, SegmentFile]) -> Iterable[Seat]:
        restarts = slots.restarts()
        for slot, key in slots.seated().items():
            process = self._table.get(key.pid) if key is not None else None
            yield Seat(
                target=name,
                slot=slot,
                key=key,
                command=scrub(process.command) if process is not None else "",
                segment=segments.get(key.pid) if key is not None else None,
                restarts=restarts[slot],
            )
