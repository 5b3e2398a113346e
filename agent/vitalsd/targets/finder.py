"""
Puts rules, processes, segments and slots together: which worker sits where right now.

The process table is read every `discovery_interval`, less often where that would take half a percent of a core,
and at once when a segment appears or a worker goes. Only then can there be other workers than before, so only then
are they looked for.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
import structlog

from vitalsd.model import (
    OUT_OF_ORDER,
    OWN_TARGET,
    STAND_INS,
    SUPERVISOR,
    Container,
    Exit,
    ExitReason,
    Supervisor,
    WorkerKey,
    Zombie,
)
from vitalsd.segment.reader import SegmentFile
from vitalsd.targets.containers import LOGS, Containers, target_of
from vitalsd.targets.folder import SegmentFolder
from vitalsd.targets.patterns import Patterns
from vitalsd.targets.processes import Process, ProcessTable, has_gone, read_key
from vitalsd.targets.rules import TargetRule, Tree, children_of, workers_by_segment, workers_of
from vitalsd.targets.serving import Serving
from vitalsd.targets.slots import OF_SUPERVISOR, ReasonOf, SlotRow, Slots, no_reason
from vitalsd.targets.supervisors import supervisor_of
from vitalsd.targets.surroundings import SurroundingsReader
from vitalsd.targets.zombies import Zombies

__all__ = ["Finder", "Found", "Seat"]

SHARE = 0.005
LONGEST_REST_SECONDS = 60.0
"""Reading the table takes so much of a core at most: on a host with very many processes it is read less often."""
JOINED_SECONDS = 600.0
"""A target of which nobody is left is the same service again when it comes back within this time."""
MOST_ENDS = 10
"""Of each slot: twice what makes a crash loop."""
log = structlog.get_logger(__name__)


class Seat(msgspec.Struct, frozen=True):
    """One slot of one target and who sits there."""

    target: str
    slot: str
    key: WorkerKey | None
    command: str
    segment: SegmentFile | None
    restarts: dict[ExitReason, int]
    refusal: str | None = None
    """Why there is no segment of this worker's to read."""
    out_of_sight: str | None = None
    """Why its segment is all that the agent sees of it, where that is so."""
    container: Container | None = None


class Found(msgspec.Struct, frozen=True):
    """All targets with their seats."""

    targets: dict[str, tuple[Seat, ...]]
    supervisors: dict[str, Supervisor] = {}
    """Of those targets whose workers have one."""
    zombies: dict[str, tuple[Zombie, ...]] = {}
    """Of those targets that have some, oldest first."""


class Finder:
    """Finds and follows the workers of every target."""

    def __init__(
        self,
        rules: Iterable[TargetRule],
        folder: SegmentFolder,
        discovery_interval_seconds: float,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.time,
        reason_of: ReasonOf = no_reason,
        logs: Path = LOGS,
    ) -> None:
        self._reason_of = reason_of
        self._folder = folder
        self.interval_seconds = discovery_interval_seconds
        self._proc = proc
        self._processes = ProcessTable(proc)
        self._patterns = Patterns()
        self._surroundings = SurroundingsReader(proc)
        self._containers = Containers(proc, logs)
        self._grouped: dict[str, str] = {}
        """Target that a rule with `per_container` has made -> the pattern of that rule."""
        self._serving = Serving(proc)
        self._zombies = Zombies(proc, clock)
        self._supervisors: dict[str, Supervisor] = {}
        self._born_to: dict[WorkerKey, int] = {}
        """Worker -> its parent when it was first seen. It never has another, but who adopts it when that ends."""
        self._told: set[TargetRule] = set()
        self._unclaimed: set[Path] = set()
        """Segments of processes out of sight that are nobody's by the rules, as was told."""
        self._rules = tuple(map(self._bind, rules))
        self._slots: dict[str, Slots] = {name: Slots(reason_of) for name in self._ruled()}
        self._table: dict[int, Process] = {}
        self._alive: set[WorkerKey] = set()
        self._running: set[WorkerKey] = set()
        """Those of them that run a program still."""
        self._members: dict[str, list[WorkerKey]] = {}
        self._segments: dict[int, SegmentFile] = {}
        self._read_table_at = 0.0
        self._masters: set[WorkerKey] = set()
        self._seen_as_masters: set[WorkerKey] = set()

    def reconfigure(self, rules: Iterable[TargetRule], discovery_interval_seconds: float) -> None:
        """Follow other rules from now on; targets that stay keep their slots, and the process their pid meant."""
        keys = {(rule.name, rule.pid): rule.key for rule in self._rules}
        known = (msgspec.structs.replace(rule, key=keys.get((rule.name, rule.pid))) for rule in rules)
        self._rules = tuple(map(self._bind, known))
        self.interval_seconds = discovery_interval_seconds
        self._patterns.keep({rule.match for rule in self._rules if rule.match is not None})
        patterns = self._patterns_of_groups()
        self._grouped = {name: match for name, match in self._grouped.items() if match in patterns}
        kept = [*self._ruled(), *(name for name in self._grouped if name in self._slots)]
        self._slots = {name: self._slots.get(name) or self._new_slots() for name in kept}
        self._read_table_at = 0.0

    def _ruled(self) -> list[str]:
        """The targets that are there, be they found or not."""
        return [rule.name for rule in self._rules if not rule.per_container]

    def _patterns_of_groups(self) -> set[str]:
        return {rule.match or "" for rule in self._rules if rule.per_container}

    def restore(self, rows: Iterable[SlotRow], at: float) -> list[Exit]:
        """
        Go on, at unix time `at`, with the slots that an earlier agent has left of targets still there.

        The answer is how those have ended whose places were empty then, and others of late.
        """
        ends: list[Exit] = []
        left: dict[str, list[SlotRow]] = {}
        for row in rows:
            left.setdefault(row.target, []).append(row)
        for name, of_target in left.items():
            matches = {row.match for row in of_target} - {None}
            if name not in self._slots and len(matches) == 1 and matches <= self._patterns_of_groups():
                self._grouped[name] = matches.pop() or ""
            elif self._rules and name not in self._slots:
                continue  # it is not watched any more
            if {row.match for row in of_target} - {None} - {self._match(name)}:
                continue  # another service had the name
            lives = any(not has_gone(self._proc, row.key) for row in of_target)
            if lives or at - max(row.seen_at for row in of_target) <= JOINED_SECONDS:
                own = [row for row in of_target if row.slot != OF_SUPERVISOR]
                self._slots.setdefault(name, self._new_slots()).restore(own)
                ends += [end for row in of_target for end in row.lately]
                ends += [row.ended for row in of_target if row.ended is not None]
        return ends

    def slots(
        self,
        ends: Callable[[str], Mapping[str, Exit]] = lambda _target: {},
        lately: Callable[[str], Iterable[Exit]] = lambda _target: (),
    ) -> tuple[SlotRow, ...]:
        """
        What the next agent must know to go on; our own slot is anew with each of them.

        `ends` tells of a target, by slot, how its worker has ended; `lately` all its ends, the oldest first.
        """
        kept: list[SlotRow] = []
        for name, slots in self._slots.items():
            if name == OWN_TARGET:
                continue
            known, match = ends(name), self._match(name)
            disordered = [end for end in lately(name) if end.reason in OUT_OF_ORDER]
            seated = slots.seated()
            for row in slots.rows(name):
                ended = known.get(str(row.slot)) if seated[str(row.slot)] is None else None
                of_slot = tuple(end for end in disordered if end.slot == str(row.slot))[-MOST_ENDS:]
                kept.append(msgspec.structs.replace(row, match=match, ended=ended, lately=of_slot))
            above = known.get(SUPERVISOR)
            if above is not None:
                key = above.key
                kept.append(SlotRow(name, OF_SUPERVISOR, key.pid, key.start_ticks, {}, match=match, ended=above))
        return tuple(kept)

    def _match(self, name: str) -> str:
        """The pattern that a target is found by; empty where it is a pid, or what it publishes."""
        ruled = next((rule.match or "" for rule in self._rules if rule.name == name), "")
        return self._grouped.get(name, ruled)

    def _new_slots(self) -> Slots:
        return Slots(self._reason_of)

    def find(self, now: float, *, again: bool = False) -> Found:
        """The workers at CLOCK_MONOTONIC `now`; with `again`, from a table that is read anew in any case."""
        segments = self._folder.refresh(now)
        if self._is_stale(segments, now) or again:
            self._look(segments, now)
        ruled = self._ruled()
        for name, keys in self._members.items():
            # A service that no rule names is nobody's duty for longer than it takes to start it again.
            missed_seconds = math.inf if name in ruled else JOINED_SECONDS
            self._slots.setdefault(name, self._new_slots()).assign(keys, now, self._running, missed_seconds)
        seats = {name: tuple(self._seats(name, slots, segments)) for name, slots in self._slots.items()}
        for name, found in list(seats.items()):
            if not found and name not in ruled:
                del seats[name], self._slots[name]
                self._members.pop(name, None)
                self._grouped.pop(name, None)
        return Found(seats, self._supervisors, self._zombies.left())

    def has_news(self) -> bool:
        """Whether a probe has come or gone since the latest look, as far as can be told for next to nothing."""
        return self._folder.has_news()

    def _is_stale(self, segments: dict[int, SegmentFile], now: float) -> bool:
        seated = [key for slots in self._slots.values() for key in slots.seated().values() if key is not None]
        gone = [key.pid for key in seated if key.in_sight and has_gone(self._proc, key)]
        for pid in gone:
            self._processes.forget(pid)
        changed = bool(gone) or segments != self._segments
        return changed or now >= self._read_table_at or self._processes.incomplete

    def _look(self, segments: dict[int, SegmentFile], now: float) -> None:
        """Read the table and tell from it who the workers are, until the next look."""
        began = time.thread_time()
        self._rules = tuple(map(self._bind, self._rules))
        self._table = {**self._processes.refresh(now), **_out_of_sight(segments)}
        self._segments = segments
        self._alive = {process.key for process in self._table.values()}
        # One that is just ending has lost its command line, and is there still while its threads end.
        self._running = {process.key for process in self._table.values() if process.arguments}
        self._masters &= self._alive
        self._serving.keep(self._alive)
        self._containers.look(self._alive)
        members, masters = self._find_members(segments)
        self._members = {
            name: [self._table[pid].key for pid in pids if pid in self._table] for name, pids in members.items()
        }
        self._find_supervisors(members, masters)
        rest = min(LONGEST_REST_SECONDS, (time.thread_time() - began) / SHARE)
        self._read_table_at = now + max(self.interval_seconds, rest)

    def _find_supervisors(self, members: dict[str, set[int]], masters: dict[str, set[int]]) -> None:
        """Who is above the workers of each target, and which of its processes' children have ended."""
        before, self._supervisors = self._supervisors, {}
        families: dict[str, set[int]] = {}
        known, self._born_to = self._born_to, {}
        for name, pids in members.items():
            above = masters.get(name, set())
            workers = [self._table[pid] for pid in pids if pid in self._table]
            parents = {each.key: known.get(each.key, each.parent) for each in workers}
            self._born_to |= parents
            own = [each.pid for each in workers if each.parent == parents[each.key]]
            supervisor = supervisor_of(own, self._table, above, self._surroundings)
            if not pids and name in before and before[name].key in self._alive:
                supervisor = before[name]  # it is about to replace the last of them
            if supervisor is not None:
                self._supervisors[name] = supervisor
                above = {*above, supervisor.key.pid}
            families[name] = pids | above
        self._surroundings.keep({supervisor.key for supervisor in self._supervisors.values()})
        self._zombies.look(families, self._table, self._processes.ended)
        everyone = set().union(*families.values())
        seated = set().union(*members.values())
        self._processes.watch(
            pid for pid, process in self._table.items() if process.parent in everyone and pid not in seated
        )

    def _bind(self, rule: TargetRule) -> TargetRule:
        """Have a pid mean the process that has it when it is first seen."""
        key = None
        if rule.pid is not None:
            with contextlib.suppress(OSError):  # not known now
                key = read_key(self._proc, rule.pid)
        if key is None:
            return rule
        if rule.key is None:
            return msgspec.structs.replace(rule, key=key)
        if rule.key != key and rule not in self._told:
            self._told.add(rule)
            self._processes.forget(key.pid)
            reason = "its process has ended, and the one that has the pid now is another: it is not watched"
            log.warning("target_pid_taken", target=rule.name, pid=rule.pid, reason=reason)
        return rule

    def _find_members(self, segments: dict[int, SegmentFile]) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
        """The pids of the workers of each target, and those of their masters."""
        agent = {os.getpid()}
        names = {pid: _name_of(pid, segment) for pid, segment in segments.items()}
        taken: set[int] = set()
        perhaps: set[WorkerKey] = set()
        members: dict[str, set[int]] = {name: set() for name in self._slots}
        masters: dict[str, set[int]] = {}
        children = children_of(self._table, agent) if self._rules else {}

        def tree_of(rule: TargetRule, serving: set[int]) -> Tree:
            with_loop = segments.keys() | serving
            return workers_of(rule, self._table, with_loop, agent, self._masters, self._patterns, children)

        for rule in self._rules:
            tree = tree_of(rule, set())
            unsure = (tree.workers | tree.masters | tree.perhaps_masters) - segments.keys()
            serving = self._serving.look(self._table[pid] for pid in unsure if pid in self._table)
            if not serving <= tree.workers:
                tree = tree_of(rule, serving)
            for name, pids in self._parts(rule, tree.workers - taken).items():
                members[name] = members.get(name, set()) | pids
            unseen = {pid for pid, name in names.items() if name == rule.name and pid >= STAND_INS}
            if unseen:
                members[rule.name] = members.get(rule.name, set()) | unseen
            for name, pids in self._parts(rule, tree.masters | tree.perhaps_masters).items():
                masters[name] = masters.get(name, set()) | pids
            taken |= tree.workers
            self._masters |= {self._table[pid].key for pid in tree.masters}
            perhaps |= {self._table[pid].key for pid in tree.perhaps_masters}
        # Once may have been the moment between a fork and what it executes.
        self._masters |= perhaps & self._seen_as_masters
        self._seen_as_masters = perhaps
        names = {pid: name for pid, name in names.items() if self._may_list(pid, segments[pid])}
        for name, pids in workers_by_segment(names, self._table, taken).items():
            members[name] = members.get(name, set()) | pids
        if self._rules:
            self._tell_unclaimed(segments, set().union(*members.values()))
        return members, masters

    def _parts(self, rule: TargetRule, pids: Iterable[int]) -> dict[str, set[int]]:
        """The targets that a rule has made of these, with who is in each: its own, or one for each container."""
        parts: dict[str, set[int]] = {}
        for pid in pids:
            process = self._table.get(pid)
            grouped = rule.per_container and process is not None
            name = target_of(rule.name, self._containers.of(process.key)) if grouped and process else rule.name
            parts.setdefault(name, set()).add(pid)
            if rule.per_container:
                self._grouped[name] = rule.match or ""
        return parts

    def _tell_unclaimed(self, segments: dict[int, SegmentFile], members: set[int]) -> None:
        """Say once of whom no rule can find, since nothing but a name is known of it."""
        unclaimed = {segments[pid].path: pid for pid in segments if pid >= STAND_INS and pid not in members}
        for path in unclaimed.keys() - self._unclaimed:
            name = segments[unclaimed[path]].header.target
            if name != OWN_TARGET:
                who = f"publishes as `{name}`" if name else "has no name"
                reason = f"it {who}, and no target is called so: have VITALSD_TARGET say which one it is"
                log.warning("segment_unclaimed", path=str(path), reason=reason)
        self._unclaimed = set(unclaimed)

    def _may_list(self, pid: int, segment: SegmentFile) -> bool:
        """Where rules say what to watch, nothing else is; other agents watch themselves."""
        if segment.header.target == OWN_TARGET:
            return pid == os.getpid()
        return not self._rules

    def _seats(self, name: str, slots: Slots, segments: dict[int, SegmentFile]) -> Iterable[Seat]:
        restarts = slots.restarts()
        for slot, key in slots.seated().items():
            process = self._table.get(key.pid) if key is not None else None
            segment = segments.get(key.pid) if key is not None else None
            yield Seat(
                target=name,
                slot=slot,
                key=key,
                command=process.shown if process is not None and process.key.in_sight else "",
                segment=segment,
                restarts=restarts[slot],
                refusal=self._folder.refusal(process) if process is not None and segment is None else None,
                container=self._containers.of(key) if key in self._alive and key is not None else None,
                out_of_sight=self._folder.out_of_sight.get(key.pid) if key is not None else None,
            )


def _name_of(pid: int, segment: SegmentFile) -> str:
    """What it calls itself; of whose command line nothing is known, what runs it must do."""
    return segment.header.target or (segment.header.runtime if pid >= STAND_INS else "")


def _out_of_sight(segments: Mapping[int, SegmentFile]) -> dict[int, Process]:
    """What a table has of those whom no table can have: whose they are, as their segments' files tell."""
    return {
        pid: Process(WorkerKey(pid, segment.header.start_ticks), 0, segment.owner_uid, "")
        for pid, segment in segments.items()
        if pid >= STAND_INS
    }
