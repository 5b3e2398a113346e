"""
Records what all processes of a run do, in a thread of its own: reads their segments ten times a second, and has
loops that are late looked at and their stacks taken, as the agent does.

The folder of segments is the run's alone, so whatever lies there belongs to it, and segments stay when their
processes have ended (VITALSD_WHOLE_LIFE): each is read once more then, and removed. Costs half a percent of a core
and 80 KiB of memory for each process that lives.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec

from vitalsd.budget.model import Limits, LoopRun, ProcessRun
from vitalsd.budget.names import name_of, words_of
from vitalsd.budget.record import SETTLED_SECONDS, Record
from vitalsd.capture.stacks import Late as LateThread
from vitalsd.capture.stacks import StackSampler
from vitalsd.detect.stall import StallBounds
from vitalsd.incidents.wording import sound
from vitalsd.investigation.evidence import with_stacks
from vitalsd.model import WorkerKey
from vitalsd.probe.python import layout
from vitalsd.probe.python.protocol import SUFFIX
from vitalsd.segment.reader import SegmentError, SegmentFile
from vitalsd.segment.vitals import ProbeDisabled, read_vitals
from vitalsd.sources.observer.events import Ended, Followed, Late
from vitalsd.sources.observer.observer import Observer
from vitalsd.targets.launchers import is_launcher
from vitalsd.targets.lockless import is_writer
from vitalsd.targets.processes import read_key

__all__ = ["Recorder"]

LOOK_SECONDS = 0.1
REST = 20
"""Looks that one takes: with a thousand processes they come less often."""
LAST_WORD_SECONDS = 0.15
"""For what the observer says of a stall that is over: it looks each 100 ms."""
JOIN_SECONDS = 10.0
MOST_PROCESSES = 20_000
MOST_STALLS = 5_000
"""Of all processes, with their stacks; of further processes the longest of each loop is kept."""
LOCKLESS = "node"
CUT_OFF = "it ended in the middle of its probe's first word"
PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


class _Open:
    """A segment whose process lives, or has just ended."""

    def __init__(self, file: SegmentFile, record: Record) -> None:
        self.file, self.record = file, record
        process = file.read(layout.PROCESS)
        heartbeat = process.fields["heartbeat"] if process is not None else 0.0
        self.alive_at = max(record.born, heartbeat)
        """CLOCK_MONOTONIC at which it is known to have lived: what was in progress then is over since."""
        self.ended = False


class Recorder:
    """From the start of a run to its end."""

    def __init__(
        self, folder: Path, limits: Limits, threshold_seconds: float, match: re.Pattern[str] | None
    ) -> None:
        self._folder, self._limits, self._match = folder, limits, match
        self._bounds = StallBounds(threshold_seconds)
        self._observer = Observer(self._hear, threshold_seconds=threshold_seconds, late_seconds=threshold_seconds)
        self._open: dict[Path, _Open] = {}
        self._refused: dict[Path, str] = {}
        self._runs: list[ProcessRun] = []
        self._names: Counter[str] = Counter()
        self._left_out = self._stalls = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="vitalsd-budget", daemon=True)
        self._sampler: StackSampler | None = None
        self.problem = ""
        """Why it has ended before its time, if it has."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> tuple[ProcessRun, ...]:
        """Read everything for the last time; what was recorded, in the order in which processes ended."""
        self._started.wait(JOIN_SECONDS)
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(JOIN_SECONDS)
        if self._thread.is_alive():
            self.problem = "reading the processes' files takes too long: a disk, or /proc, does not answer"
        elif self._left_out and not self.problem:
            self.problem = f"there were more than {MOST_PROCESSES} processes, {self._left_out} were left out"
        elif self._refused and not self.problem:
            self.problem = sound(f"not every process could be read: {next(iter(self._refused.values()))}")
        return tuple(self._runs)

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except Exception as error:  # noqa: BLE001 - the command goes on, and its exit code is what counts
            self.problem = f"recording ended by an error of its own: {type(error).__name__}: {error}"
        finally:
            self._started.set()

    async def _run(self) -> None:
        self._loop, self._stopping, self._sampler = asyncio.get_running_loop(), asyncio.Event(), StackSampler()
        self._started.set()
        sampling = asyncio.create_task(self._sampler.run())
        self._observer.start()
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                self._look()
                rest = max(LOOK_SECONDS, REST * (time.monotonic() - began))
                try:
                    await asyncio.wait_for(self._stopping.wait(), rest)
                except TimeoutError:
                    continue
            self._look()
            if any(entry.record.stalled or entry.record.case.late for entry in self._open.values()):
                await asyncio.sleep(LAST_WORD_SECONDS)
                self._look()
        finally:
            sampling.cancel()
            self._observer.stop()
        for path in list(self._open):
            self._close(path)

    def _look(self) -> None:
        """Whoever is there: new ones, all that live, and once more those that have ended since."""
        paths = sorted(self._folder.glob("*.seg"))
        here = set(paths)
        self._refused = {path: why for path, why in self._refused.items() if path in here}
        for path in self._open.keys() - here:  # somebody has deleted it
            self._close(path)
        newest = {self._pid_in(path): path for path in sorted(paths, key=_made_at)}
        for path in paths:
            if path not in self._open and not self._adopt(path):
                continue
            entry = self._open[path]
            if entry.ended:  # the observer has had time to say what it saw
                self._close(path)
                continue
            now = time.monotonic()
            if self._lives(path, entry, newest):
                entry.alive_at = now
            else:
                entry.ended = True
            self._read(entry)
        self._follow()

    @staticmethod
    def _pid_in(path: Path) -> str:
        return path.name.split("-")[1] if path.name.count("-") == 2 else path.name

    def _adopt(self, path: Path) -> bool:
        try:
            file = SegmentFile(path)
        except SegmentError as error:
            self._refused[path] = str(error)  # the next look tries again
            return False
        if len(self._runs) + len(self._open) >= MOST_PROCESSES:
            self._left_out += 1
            file.close()
            _remove(path)
            return False
        self._refused.pop(path, None)
        header = file.header
        pid = file.holder() or header.pid
        words = words_of(PROC, pid)
        record = Record(
            WorkerKey(pid, header.start_ticks),
            self._name(words, header.runtime, header.version),
            time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - header.start_ticks / TICKS),
            self._limits,
            self._bounds,
        )
        command = " ".join(words)
        if self._match is not None and not self._match.search(command):
            record.pardon = "its command line does not match"
        elif is_launcher(command):
            record.pardon = "it only starts others"
        self._open[path] = _Open(file, record)
        return True

    def _name(self, words: list[str], runtime: str, version: str) -> str:
        """What people know it by; the second of the same name is the second."""
        shown = sound(name_of(words) or f"a short-lived {runtime} {version}")
        self._names[shown] += 1
        return shown if self._names[shown] == 1 else f"{shown} #{self._names[shown]}"

    def _lives(self, path: Path, entry: _Open, newest: dict[str, Path]) -> bool:
        """Whether what it says goes on; of a program that has executed another, the first segment is over."""
        key, header = entry.record.key, entry.file.header
        try:
            here = read_key(PROC, key.pid)
            if here is None or not (here == key or is_writer(PROC, key.pid, header)):
                return False
        except OSError:
            return True  # not known now
        over = header.runtime != LOCKLESS and entry.file.holder() is None
        return not (over and newest.get(self._pid_in(path)) != path)

    def _read(self, entry: _Open) -> None:
        now = entry.alive_at
        offset = time.time() - time.monotonic()
        try:
            vitals = read_vitals(entry.file, now, now + offset)
        except ProbeDisabled as error:
            entry.record.unread = sound(str(error)).removesuffix(".")
            return
        if vitals is not None:
            entry.record.take(vitals, now)
            entry.record.settle(now - SETTLED_SECONDS, offset, self._observer.late_seconds)
        elif entry.ended and entry.record.latest is None:
            entry.record.unread = CUT_OFF

    def _follow(self) -> None:
        followed = [
            Followed("", "", entry.record.key, path) for path, entry in self._open.items() if not entry.ended
        ]
        self._observer.follow(followed)

    def _close(self, path: Path) -> None:
        """It is over, or the run is: what it comes to."""
        entry = self._open.pop(path)
        offset = time.time() - time.monotonic()
        run = entry.record.finish(offset, self._observer.late_seconds)
        self._stalls += sum(len(loop.stalls) for loop in run.loops)
        self._runs.append(run if self._stalls <= MOST_STALLS else _shortened(run, self._limits))
        entry.file.close()
        if entry.ended:
            _remove(path)

    def _hear(self, event: Late | Ended) -> None:
        """The observer's thread tells; the recorder's loop listens."""
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._take, event)
            except RuntimeError:
                return  # it is over

    def _take(self, event: Late | Ended) -> None:
        entry = next((entry for entry in self._open.values() if entry.record.key == event.key), None)
        if entry is None or self._sampler is None:
            return
        case = entry.record.case
        if isinstance(event, Late):
            thread = self._thread_of(entry, event)
            case.note_late(event.loop, thread)
            self._sampler.late(thread)
            return
        name = (event.evidence.loop, event.evidence.since)
        late = case.late.pop(name, None)
        evidence = event.evidence
        if late is not None:
            evidence = with_stacks(evidence, self._sampler.ended(late, evidence.since + evidence.seconds))
        case.note_seen(evidence)

    @staticmethod
    def _thread_of(entry: _Open, event: Late) -> LateThread:
        vitals = entry.record.latest
        loop = next((loop for loop in vitals.loops if loop.name == event.loop), None) if vitals else None
        thread_id = loop.thread_id if loop is not None and loop.thread_id else event.key.pid
        return LateThread(event.key, thread_id, event.since, loop.thread if loop is not None else "")


def _shortened(run: ProcessRun, limits: Limits) -> ProcessRun:
    """The same with the longest stall of each loop that counts."""
    loops: list[LoopRun] = []
    for loop in run.loops:
        counting = [stall for stall in loop.stalls if not stall.pardon]
        dropped = loop.dropped
        for stall in counting[1:]:
            dropped = dropped.with_one(stall, limits)
        loops.append(msgspec.structs.replace(loop, stalls=tuple(counting[:1]), dropped=dropped))
    return msgspec.structs.replace(run, loops=tuple(loops))


def _made_at(path: Path) -> float:
    try:
        return path.stat().st_ctime
    except OSError:
        return 0.0


def _remove(path: Path) -> None:
    path.with_name(path.name + SUFFIX).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
