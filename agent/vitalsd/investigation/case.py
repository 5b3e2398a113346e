"""One worker under observation: its latest samples, and what is known of stalls that are not told yet. Pure."""

from __future__ import annotations

from collections import deque
from typing import TypeVar

import msgspec

from vitalsd.capture.stacks import Late as LateThread
from vitalsd.detect.registry import ToldStall
from vitalsd.history.recent import SPACING_SECONDS, WINDOW_SECONDS
from vitalsd.model import StallEvidence, Verdict, WorkerKey, WorkerSample

__all__ = ["Case", "StallName", "Told"]

KEPT = 256
SHARED_PART = 0.5
"""Of the longer of two stretches, for them to be the same one: those of one loop never overlap."""
StallName = tuple[str, float]
"""Its loop, and CLOCK_MONOTONIC at which it began."""
Thing = TypeVar("Thing")


class Told(msgspec.Struct, frozen=True):
    """What was said of a stall while it lasted."""

    verdict: Verdict
    started_at: float
    """Unix time, as the clock had it then."""
    seconds: float
    """How long it was when that was said last."""


class Case(msgspec.Struct):
    """One worker."""

    key: WorkerKey
    since: float
    """Unix time at which it was first seen."""
    samples: deque[WorkerSample]
    numbers: dict[str, int]
    """Loop -> the number of the last of its stalls that was counted."""
    seen: dict[StallName, StallEvidence]
    """What the observer saw of stalls that their probe has not told yet."""
    late: dict[StallName, LateThread]
    """Stalls in progress whose stacks are being taken from outside."""
    told_as: dict[StallName, Told]
    """Stalls in progress that were told of: one stays what it was told to be."""
    told: list[ToldStall]
    turning: ToldStall | None = None
    """What looked like a stall last, and was none."""
    last_stall_at: float | None = None

    @classmethod
    def of(cls, key: WorkerKey, now: float) -> Case:
        """A worker that is seen for the first time."""
        return cls(key, now, deque(), {}, {}, {}, {}, [])

    def take(self, worker: WorkerSample, now: float) -> None:
        """Take in a sample; those of more than a minute ago go, and those that a wrong clock calls later."""
        samples = self.samples
        while samples and samples[-1].at > worker.at:
            samples.pop()
        samples.append(worker)
        if len(samples) > 2 and samples[-2].at - samples[-3].at < SPACING_SECONDS:
            del samples[-2]
        while len(samples) > 1 and samples[0].at < now - WINDOW_SECONDS:
            samples.popleft()

    def note_seen(self, evidence: StallEvidence) -> None:
        """Keep what the observer saw until the probe tells the stall."""
        _put(self.seen, (evidence.loop, evidence.since), evidence)

    def take_seen(self, loop: str, since: float, seconds: float) -> StallEvidence | None:
        """
        What the observer saw of a stall that its probe tells of, which is not needed for another.

        Where words are copied to a disk, the last copy before a process was stopped may be of the turn before:
        then it is the one with which it has most of its time in common. Of a Node process that was stopped, what
        was seen then and after it went on are two: the one with more looks knows more.
        """
        mine = [
            name
            for name, other in self.seen.items()
            if name == (loop, since)
            or (name[0] == loop and _share((since, seconds), (other.since, other.seconds)))
        ]
        return max((self.seen.pop(name) for name in mine), key=_looks, default=None)

    def take_told(self, loop: str, since: float, seconds: float) -> Told | None:
        """What was said of a stall that is over: it is told once more, and then forgotten."""
        told = self.told_as.pop((loop, since), None)
        if told is not None:
            return told
        for name, other in self.told_as.items():
            # As above; and its end may have come long after it was told last.
            if name[0] == loop and since - other.seconds < name[1] < since + seconds:
                return self.told_as.pop(name)
        return None

    def note_told(self, evidence: StallEvidence, told: Told) -> None:
        """Keep what is said of a stall in progress."""
        _put(self.told_as, (evidence.loop, evidence.since), told)

    def note_late(self, loop: str, late: LateThread) -> None:
        """Keep whose stacks are being taken."""
        _put(self.late, (loop, late.since), late)


def _looks(evidence: StallEvidence) -> int:
    return sum(evidence.thread.doing.values()) if evidence.thread is not None else 0


def _share(first: tuple[float, float], second: tuple[float, float]) -> bool:
    """Whether two stretches, each with its beginning and length, are the same one."""
    shared = min(first[0] + first[1], second[0] + second[1]) - max(first[0], second[0])
    return shared >= SHARED_PART * max(first[1], second[1]) > 0


def _put(kept: dict[StallName, Thing], name: StallName, thing: Thing) -> None:
    kept[name] = thing
    while len(kept) > KEPT:
        del kept[next(iter(kept))]
