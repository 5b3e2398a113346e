"""
Watches a worker with a probe: reads the live words of its loops, and the thread of one that is late.

For most a glance at their words is enough (`glance`); a look is two reads of these. The file is opened here for
this alone: others close theirs when they like.
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path

from vitalsd.errors import VitalsdError
from vitalsd.model import STOPPED, StallEvidence, WorkerKey
from vitalsd.probe.python import layout
from vitalsd.segment.calling import call
from vitalsd.segment.reader import SegmentFile
from vitalsd.sources.observer.inside import NOTED_SECONDS, Inside, late_since
from vitalsd.sources.observer.stretch import Stretch
from vitalsd.sources.observer.thread import ThreadReader
from vitalsd.sources.observer.watch import Setting, Watch
from vitalsd.targets.namespaces import own_number

__all__ = ["Probed", "calm_until_by"]

RETRY_SECONDS = 1.0
WAKE_SECONDS = 1.0
"""Between two calls at a probe: one that is awake needs none, and takes notice of it all the same."""
TURN_SECONDS = 0.005
"""Between the end of a wait, which the probe notes, and the beginning of the turn, which asyncio does."""
LOOKS = 4
COPY_SECONDS = 0.5
"""A copy that is older than this is not made any more: its probe makes one each quarter of a second."""
MOST_THREADS = 256
CLOSED = -1
WORDS = struct.Struct(f"<{layout.COPIED + 1 - layout.SINCE}d")
COPIED = layout.COPIED - layout.SINCE
OTHERS = slice(8, 8 * layout.LOOPS)
"""Of the live words, `since` of all loops but the first."""
NOBODY = bytes(8 * (layout.LOOPS - 1))
ONE = struct.Struct(f"<d{len(NOBODY)}xd{len(NOBODY)}x")
"""`since` and `due` of the first."""
Word = tuple[float, float]
NOT_RUNNING: Word = (0.0, 0.0)


class Probed(Watch):
    """One worker with a probe."""

    probed = True
    told_at = 0.82
    """Just after the probe has taken its first stack; where it could not, that is the time to help it."""

    def __init__(self, key: WorkerKey, segment: Path, setting: Setting) -> None:
        super().__init__(key, setting)
        self.path = segment
        self.turned_at = -math.inf
        """CLOCK_MONOTONIC at which a glance found other words than the one before."""
        self._file: SegmentFile | None = None
        self._retry_at = 0.0
        self._dead = False
        self._wake_at = self._woken_for = 0.0
        self._stopped_at: float | None = None
        """When it was first seen stopped."""
        self._loops: dict[int, Inside] = {}
        self._readers: dict[int, ThreadReader] = {}

    def bursting(self, now: float) -> bool:
        """Whether looks should be frequent."""
        return any(loop.bursting(now) for loop in self._loops.values())

    def close(self) -> None:
        """Let go of all files."""
        for slot in list(self._readers):
            self._readers.pop(slot).close()
        self.close_memory()
        if self._file is not None:
            self._file.close()
            self._file = None

    def in_progress(self) -> tuple[StallEvidence, ...]:
        """What is known so far of stretches beyond the threshold."""
        with self.lock:
            loops = list(self._loops.items())
            return tuple(one for slot, loop in loops for one in self.evidence(_name(slot), loop.current))

    def look(self, now: float, agent_late: float) -> bool:
        """One look at the live words of all loops, of which one may be late."""
        if self._file is None:
            self._open(now)
        if self._file is None or self._dead:
            return True
        words = self._words()
        if words is None:
            return not any(loop.current for loop in self._loops.values())
        quiet = True
        slots, copied = words
        if self.runtime == "node":
            slots = self._as_stopped(slots, now)
        until = self._known_until(now, copied)
        for slot, (since, due) in enumerate(slots):
            loop = self._loops.get(slot)
            if loop is None:
                if since == 0:
                    continue
                with self.lock:
                    loop = self._loops[slot] = Inside(self.setting.threshold_seconds)
            late = late_since(since, due, until)
            with self.lock:
                ended = loop.turn(now, late, until)
                current = loop.current
            self.tell_ended(_name(slot), ended, now, agent_late)
            if current is not None:
                quiet = False
                self._wake(current, now)
                self._look_at(slot, loop, current, now, until, agent_late)
            elif slot in self._readers:
                self._readers.pop(slot).close()
        return quiet

    @property
    def descriptor(self) -> int:
        """Of its file, for a glance at its words; below zero before it was opened."""
        return self._file.descriptor if self._file is not None else CLOSED

    def _wake(self, stretch: Stretch, now: float) -> None:
        """Have the probe take its stack: Python's sleeps while its loops rest, Node's looks itself."""
        if stretch.since == self._woken_for or now < self._wake_at or self.runtime == "node":
            return
        self._woken_for, self._wake_at = stretch.since, now + WAKE_SECONDS
        call(self.path)

    def _as_stopped(self, slots: list[Word], now: float) -> list[Word]:
        """
        The words of a process that is stopped: its loops are late from then on.

        Node's watchdog tells ahead by when it will have looked again, and is stopped like all of it.
        """
        self._stopped_at = (self._stopped_at or now) if self.is_stopped() else None
        if self._stopped_at is None:
            return slots
        return [(since, min(due, self._stopped_at) if due > 0 else due) for since, due in slots]

    def _known_until(self, now: float, copied: float) -> float:
        """
        Up to when the words tell what happens: those of a copy on a disk, until it was made.

        In a process that is stopped nothing happens, and nobody copies: there the last ones hold until now.
        """
        if copied <= 0 or (now - copied > COPY_SECONDS and self.is_stopped()):
            return now
        return min(now, copied)

    def is_stopped(self) -> bool:
        """Whether somebody has stopped its process."""
        try:
            with open(self.process + "/stat", "rb") as file:  # noqa: PTH123 - text in
                return file.read(512).rpartition(b") ")[2][:1].decode() in STOPPED
        except OSError:
            return False

    def _words(self) -> tuple[list[Word], float] | None:
        """`since` and `due` of each slot, and `copied`; None while they cannot be had."""
        assert self._file is not None
        reading = self._file.look(layout.SINCE, layout.COPIED + 1)
        for _ in range(LOOKS):
            before, after = WORDS.unpack(reading.before), WORDS.unpack(reading.after)
            if before[COPIED] == after[COPIED]:
                break
            reading = self._file.look_again(reading)
        else:
            return None
        # What was being written belongs to a loop that turns.
        slots = [
            (after[slot], after[slot + layout.LOOPS]) if before[slot] == after[slot] else NOT_RUNNING
            for slot in range(layout.LOOPS)
        ]
        return slots, after[COPIED]

    def _open(self, now: float) -> None:
        if now < self._retry_at:
            return
        self._retry_at = now + RETRY_SECONDS
        try:
            self._file = SegmentFile(self.path)
            self.runtime = self._file.header.runtime
        except (VitalsdError, OSError):
            self._file = None  # the folder tells why, to those who list it

    def _look_at(
        self, slot: int, loop: Inside, stretch: Stretch, now: float, until: float, agent_late: float
    ) -> None:
        if not self.key.in_sight:
            with self.lock:
                stretch.lasts(now, until)
            self.tell_progress(_name(slot), self.key.pid, stretch, now, agent_late)
            return
        reader = self._readers.get(slot)
        if reader is None:
            reader = self._readers[slot] = self._reader(slot)
        look = reader.look(now, whole=True)
        if look is None:
            self._lost(slot, loop, now, agent_late)
            return
        look = self.with_turn(look, reader)
        began = look.turn.turn_began if look.turn is not None else None
        with self.lock:
            if began is not None and stretch.turn_began is None and abs(began - stretch.since) <= TURN_SECONDS:
                stretch.turn_began = began
            stretch.add(look, until)
        if loop.current is not None:
            self.tell_progress(_name(slot), reader.tid, stretch, now, agent_late)

    def _lost(self, slot: int, loop: Inside, now: float, agent_late: float) -> None:
        """The thread is not there: the process is gone, unless only the thread is."""
        self._readers.pop(slot).close()
        self._dead = not self.lives()
        with self.lock:
            ended = loop.lost(died=self._dead)
        self.tell_ended(_name(slot), ended, now, agent_late)

    def _reader(self, slot: int) -> ThreadReader:
        tid = self._tid(slot)
        # Node waits for a command in another loop of the same thread: to tell them apart takes the epoll.
        epoll = self.uv.epoll if self.runtime == "node" and tid == self.key.pid else None
        return ThreadReader(self.process, tid, self.setting.calls, self.setting.room, epoll)

    def _tid(self, slot: int) -> int:
        """The loop's thread in our own pid namespace; the record has its number in the service's."""
        assert self._file is not None
        record = self._file.read(layout.LOOP[slot])
        theirs = record.fields["thread_id"] if record is not None else 0.0
        if theirs in (0.0, float(self._file.header.pid)):
            return self.key.pid
        try:
            names = os.listdir(self.process + "/task")  # noqa: PTH208 - the names are all that is wanted
        except OSError:
            return self.key.pid
        likely = [name for name in names if name == f"{theirs:.0f}"]
        for name in [*likely, *names[:MOST_THREADS]]:
            if own_number(f"{self.process}/task/{name}/status") == theirs:
                return int(name)
        return self.key.pid


def calm_until_by(read: bytes) -> float:
    """When the first of these loops is late, if nothing changes: one at work, or one whose timer is due."""
    if read[OTHERS] == NOBODY and len(read) == ONE.size:  # most have one loop, and one at work comes here
        since, due = ONE.unpack(read)
        late = due if since < 0 else since
        return late + NOTED_SECONDS if late > 0 else math.inf
    words = SegmentFile.live_words(read)
    lates = (due if since < 0 else since for since, due in zip(words, words[layout.LOOPS :], strict=False))
    return min((late for late in lates if late > 0), default=math.inf) + NOTED_SECONDS


def _name(slot: int) -> str:
    return "main" if slot == 0 else f"loop-{slot}"
