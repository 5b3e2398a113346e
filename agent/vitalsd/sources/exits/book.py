"""
The ends of late, by target: what detectors, the API and the count of restarts go by. Pure and told the time.

Kept for ten minutes, and longer for as long as nobody has taken the place of who ended, or has fetched it. So it
is bounded by the workers that there are, and by as many ends more as a target may have here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from vitalsd.model import SUPERVISOR, Exit, ExitReason, MemoryKill, SupervisorKind, WorkerKey, WorkerSample
from vitalsd.sources.cgroup.kills import Moved
from vitalsd.sources.exits.reason import FullHeap, Known, tell

__all__ = ["Ended", "ExitBook"]

KEPT_SECONDS = 600.0
MOST_KEPT = 100
"""Per target, or as many as make a crash loop."""
MOST_REASONS = 1000
FULL_SHARE = 0.75
"""Of its limit: V8 gives up from 0.8 on where collections free little, and the last sample is seconds old."""


class Ended(msgspec.Struct, frozen=True):
    """A process that has ended, with what was known of it."""

    key: WorkerKey
    target: str
    slot: str
    at: float
    """Unix time."""
    lived_seconds: float
    kind: SupervisorKind | None = None
    """What supervisor it had, or was; of one that stood alone, what its name says."""
    rank: Literal["worker", "master", "alone"] = "worker"
    expected: bool = False
    """This agent had asked for it by then."""
    timeout_seconds: float | None = None
    sample: WorkerSample | None = None
    """The last one."""


class ExitBook:
    """Who has ended lately, and why."""

    def __init__(self) -> None:
        self._exits: dict[str, list[Exit]] = {}
        self._strays: dict[str, list[MemoryKill]] = {}
        self._reasons: dict[WorkerKey, ExitReason] = {}
        self._expected: set[WorkerKey] = set()
        self._kept_seconds, self._most = KEPT_SECONDS, MOST_KEPT

    def reconfigure(self, crash_loop_exits: int, crash_loop_within_seconds: float) -> None:
        """Keep no less than a crash loop is told by."""
        self._kept_seconds = max(KEPT_SECONDS, crash_loop_within_seconds)
        self._most = max(MOST_KEPT, crash_loop_exits)

    def expect(self, key: WorkerKey) -> None:
        """This agent has asked this worker to end: whatever way it goes, it is `recycled`."""
        self._expected.add(key)

    def is_expected(self, key: WorkerKey) -> bool:
        """Whether this agent has asked for it."""
        return key in self._expected

    def remember(self, exits: Iterable[Exit]) -> None:
        """Go on with ends that an earlier agent has left, but for those that are known."""
        for each in exits:
            if each.key not in self._reasons:
                self._take(each)

    def undo(self, key: WorkerKey) -> None:
        """This worker lives: it was taken for one that has ended."""
        self._reasons.pop(key, None)
        for target, exits in self._exits.items():
            self._exits[target] = [each for each in exits if each.key != key]

    def end(
        self,
        ended: Ended,
        status: int | None,
        claimed: tuple[str | None] | None = None,
        untold: str = "",
        *,
        late: bool = False,
    ) -> Exit:
        """
        Take in an end, from its wait status, or None with the reason why that is not known.

        `claimed` is the group whose counter of kills for memory has moved by it, `late` whether it was its parent
        that had not fetched it yet.
        """
        sample = ended.sample
        kill = _kill(claimed[0], ended.at, 1, sample) if claimed is not None else None
        heap = _full_heap(sample)
        told = tell(
            status,
            Known(
                kind=ended.kind,
                is_master=ended.rank != "worker",
                timeout_seconds=ended.timeout_seconds,
                silent_seconds=_silent(sample, ended.at),
                expected=ended.expected,
                memory_kill=kill,
                full_heap=heap,
                untold=untold,
            ),
        )
        process = sample.process if sample is not None else None
        exit_ = Exit(
            target=ended.target,
            slot=ended.slot,
            key=ended.key,
            ended_at=ended.at,
            reason=told.reason,
            lived_seconds=round(ended.lived_seconds, 2),
            code=told.code,
            signal=told.signal,
            told_by="none" if status is None else "parent" if late else "kernel",
            evidence=told.evidence,
            supervisor=ended.kind if ended.rank != "alone" else None,
            memory_kill=kill if told.reason == "oom_kill" else None,
            memory_bytes=_own(process.anonymous_bytes, process.swap_bytes) if process is not None else None,
            heap_limit_bytes=heap.limit_bytes if heap is not None and told.by_heap else None,
        )
        self._take(exit_)
        return exit_

    def _take(self, exit_: Exit) -> None:
        exits = self._exits.setdefault(exit_.target, [])
        exits.append(exit_)
        exits.sort(key=lambda each: each.ended_at)
        self._expected.discard(exit_.key)
        self._reasons[exit_.key] = exit_.reason
        while len(self._reasons) > MOST_REASONS:
            del self._reasons[next(iter(self._reasons))]

    def stray(self, target: str, moved: Moved, sample: WorkerSample | None, at: float) -> None:
        """Take in kills of processes of a group that none of the workers has ended by."""
        self._strays.setdefault(target, []).append(_kill(moved.group, at, moved.kills, sample))

    def follow(
        self,
        seated: Mapping[str, Mapping[str, WorkerKey | None]],
        now: float,
        unfetched: Collection[WorkerKey] = (),
    ) -> None:
        """
        See who has followed whom, and forget, at unix time `now`, what is long over.

        By target and slot, who sits where; and who has ended and was not fetched.
        """
        self._expected &= {key for slots in seated.values() for key in slots.values() if key is not None}
        for name in list(self._exits):
            slots = seated.get(name)
            kept = [] if slots is None else self._kept(_followed(self._exits[name], slots), slots, now, unfetched)
            self._exits[name] = kept
            if not kept:
                del self._exits[name]
        for name, strays in list(self._strays.items()):
            self._strays[name] = [each for each in strays if 0 <= now - each.noticed_at < KEPT_SECONDS][
                -MOST_KEPT:
            ]
            if name not in seated or not self._strays[name]:
                del self._strays[name]

    def _kept(
        self,
        exits: list[Exit],
        slots: Mapping[str, WorkerKey | None],
        now: float,
        unfetched: Collection[WorkerKey],
    ) -> list[Exit]:
        last = {each.slot: each for each in exits}
        empty = {slot for slot, key in slots.items() if key is None}
        if len(empty) == len(slots):
            empty.add(SUPERVISOR)
        lasting = [each for slot, each in last.items() if slot in empty and each.followed_by is None]
        recent = [each for each in exits if now - each.ended_at < self._kept_seconds][-self._most :]
        zombies = [each for each in exits if each.key in unfetched][:MOST_KEPT]
        wanted = {id(each) for each in (*recent, *lasting, *zombies)}
        return [each for each in exits if id(each) in wanted]

    def of(self, target: str) -> tuple[Exit, ...]:
        """The ends of late of one target, oldest first."""
        return tuple(self._exits.get(target, ()))

    def last(self, target: str) -> dict[str, Exit]:
        """By slot, the latest end in each place that nobody was seen in since."""
        latest = {each.slot: each for each in self._exits.get(target, ())}
        return {slot: each for slot, each in latest.items() if each.followed_by is None}

    def strays_of(self, target: str) -> tuple[MemoryKill, ...]:
        """Kills for memory of late in the groups of one target, of others than its workers."""
        return tuple(self._strays.get(target, ()))

    def knows(self, key: WorkerKey) -> bool:
        """Whether its end was taken in already: a supervisor that has ended may be named for a while."""
        return key in self._reasons

    def reason(self, key: WorkerKey) -> ExitReason:
        """Why this worker has ended: `unknown` for who was never watched."""
        known = self._reasons.get(key)
        if known is not None:
            return known
        kept = (each for exits in self._exits.values() for each in exits)
        return next((each.reason for each in kept if each.key == key), "unknown")


def _followed(exits: list[Exit], slots: Mapping[str, WorkerKey | None]) -> list[Exit]:
    """The same, and whom the latest of each slot was followed by; a supervisor has no slot that shows it."""
    last = {each.slot: index for index, each in enumerate(exits)}
    told = list(exits)
    for slot, index in last.items():
        here = slots.get(slot)
        if here is not None and here != told[index].key and told[index].followed_by is None:
            told[index] = replace(told[index], followed_by=here)
    return told


def _silent(sample: WorkerSample | None, at: float) -> float | None:
    """Since it last showed its supervisor life, or anybody where its supervisor goes by nothing that is known."""
    pulse = sample.pulse if sample is not None else None
    if pulse is None:
        return None
    shown_at = pulse.touched_at if pulse.touched_at is not None else pulse.heartbeat_at
    return at - shown_at if shown_at is not None else None


def _full_heap(sample: WorkerSample | None) -> FullHeap | None:
    """The heap of its last sample, where that has a limit and was near it."""
    probe = sample.probe if sample is not None else None
    if probe is None or probe.heap_used_bytes is None or probe.heap_limit_bytes is None:
        return None
    is_full = probe.heap_used_bytes >= FULL_SHARE * probe.heap_limit_bytes
    return FullHeap(probe.heap_used_bytes, probe.heap_limit_bytes) if is_full else None


def _own(anonymous: int | None, swap: int | None) -> int | None:
    return anonymous + (swap or 0) if anonymous is not None else None


def _kill(group: str | None, at: float, kills: int, sample: WorkerSample | None) -> MemoryKill:
    known = sample.memory.group if sample is not None and sample.memory is not None else None
    same = known if known is not None and known.name == group else None
    return MemoryKill(
        group=group,
        noticed_at=at,
        kills=kills,
        limit_bytes=same.limit_bytes if same is not None else None,
        used_bytes=same.used_bytes if same is not None else None,
    )
