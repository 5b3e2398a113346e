"""
Looks at each worker, and at who supervises it, once a second: the kernel's state, and its latest sign of life.

Costs one read of /proc/PID/stat, 8 us, for gunicorn's workers a stat of their heartbeat file, 3 us, and for each
control group a look at its freezer, 7 us. Whose loop has turned since the look before lives: of that one the state
is read each five seconds. Nothing here waits for the process: no file takes its memory's lock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from vitalsd.model import STOPPED, Pulse, WorkerKey
from vitalsd.sources.cgroup.freezer import Freezer, find_freezer
from vitalsd.sources.files import read_file
from vitalsd.sources.pulse.heartbeat import HeartbeatFile
from vitalsd.sources.pulse.rest import Wait, wait_of
from vitalsd.targets.finder import Found

__all__ = ["LOOK_SECONDS", "CameBack", "Pulses"]

LOOK_SECONDS = 1.0
STATE_SECONDS = 5.0
"""Between two readings of the state of one whose loop turns: other threads of it may have hung."""
GAP_SECONDS = 3.0
"""An agent that did not look for so long, because it was stopped or the host was, accuses nobody of silence."""
SUSPECT = (*STOPPED, "D", "Z", "X")
TRACER = b"TracerPid:"
UNSEEN = "?"
"""The state of who is out of sight: of it only the loop tells whether it lives."""
SILENCE_SECONDS = 2.0
"""Most of gunicorn's workers touch their file each second; a shorter silence teaches nothing."""


class CameBack(msgspec.Struct, frozen=True):
    """A worker that was silent, and has come back by itself."""

    target: str
    key: WorkerKey
    seconds: float


class _Worker(msgspec.Struct):
    target: str
    file: HeartbeatFile | None = None
    state: str = ""
    state_since: float = 0.0
    """CLOCK_MONOTONIC."""
    state_at: float = 0.0
    """CLOCK_MONOTONIC at which it was read last."""
    freezer: Freezer | None = None
    frozen_since: float | None = None
    """CLOCK_MONOTONIC; None while its group goes on."""
    silent: float | None = None
    held: bool = False
    """Whether a look within this silence has found it stopped, frozen or traced: that was none of its requests."""
    rest: Wait | None = None
    """Where it waits when it has nothing to do, once that was seen."""
    rests: bool | None = None


class Pulses:
    """All of them. Its methods belong to the agent's loop."""

    def __init__(
        self,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        turned_at: Callable[[WorkerKey], float] = lambda _key: -math.inf,
    ) -> None:
        self._proc = proc
        self._turned_at = turned_at
        self._clock, self._wall = clock, wall
        self._workers: dict[WorkerKey, _Worker] = {}
        self._looked_at: float | None = None
        self._seen_at = 0.0
        """Unix time of the same look."""

    def follow(self, found: Found) -> None:
        """Look at these from now on, and at nobody else."""
        here: dict[WorkerKey, _Worker] = {}
        for name, seats in found.targets.items():
            supervisor = found.supervisors.get(name)
            keys = [seat.key for seat in seats if seat.key is not None]
            for key in [*keys, *([supervisor.key] if supervisor is not None else [])]:
                known = self._workers.get(key)
                worker = here[key] = known or _Worker(name, freezer=find_freezer(self._proc, key.pid))
                worker.target = name
                if supervisor is not None and supervisor.kind == "gunicorn" and key != supervisor.key:
                    worker.file = worker.file or HeartbeatFile(self._proc, key.pid)
        self._workers = here

    def look(self) -> list[CameBack]:
        """Look at all of them; the answer is who has come back since the look before."""
        now, wall = self._clock(), self._wall()
        before = self._looked_at
        gap = now - before if before is not None else 0.0
        self._looked_at, self._seen_at = now, wall
        back: list[CameBack] = []
        frozen: dict[Freezer, bool] = {}
        for key, worker in self._workers.items():
            if gap > GAP_SECONDS:
                worker.state_since += gap
                worker.state_at = now
                worker.frozen_since = None
                if worker.file is not None:
                    worker.file.pardon(gap)
            turned_at = self._turned_at(key)
            if before is None or turned_at <= before or self._wants_reading(worker, now):
                self._look_at(key, worker, now, before)
            self._look_at_freezer(worker, now, frozen)
            if worker.file is None:
                continue
            silent_before, worker.silent = worker.silent, worker.file.silent_seconds(now, wall)
            if silent_before is not None and worker.silent is not None and worker.silent < silent_before:
                learned = silent_before - worker.silent >= SILENCE_SECONDS and not worker.rests and not worker.held
                back += [CameBack(worker.target, key, silent_before)] if learned else []
                worker.held = False
            silent = worker.silent is not None and worker.silent >= SILENCE_SECONDS
            worker.rests = self._rests(key, worker) if silent else None
            worker.held |= worker.state in STOPPED or worker.frozen_since is not None
            worker.held |= silent and not worker.held and self._traced(key)
        return back

    def _look_at_freezer(self, worker: _Worker, now: float, frozen: dict[Freezer, bool]) -> None:
        """Once for each group, however many of its workers there are."""
        freezer = worker.freezer
        if freezer is None:
            return
        if freezer not in frozen:
            frozen[freezer] = freezer.is_frozen()
        if not frozen[freezer]:
            worker.frozen_since = None
        elif worker.frozen_since is None:
            worker.frozen_since = now

    def _traced(self, key: WorkerKey) -> bool:
        """Whether a debugger is in it, be it stopped or not."""
        try:
            lines = read_file(f"{self._proc}/{key.pid}/status").split(b"\n")
        except OSError:
            return False
        return any(line.startswith(TRACER) and line[len(TRACER) :].strip() != b"0" for line in lines)

    def _rests(self, key: WorkerKey, worker: _Worker) -> bool | None:
        wait = wait_of(self._proc, key.pid) if worker.rest is not None else None
        return wait == worker.rest if wait is not None else None

    def found_at_rest(self, key: WorkerKey) -> None:
        """Its stack has shown that it waits for a connection right now: know that place again."""
        worker = self._workers.get(key)
        if worker is not None:
            worker.rest = wait_of(self._proc, key.pid)
            worker.rests = worker.rest is not None

    @staticmethod
    def _wants_reading(worker: _Worker, now: float) -> bool:
        """Although its loop turns: its state was one that none should have, or is not known, or an old one."""
        return not worker.state or worker.state in SUSPECT or now >= worker.state_at + STATE_SECONDS

    def _look_at(self, key: WorkerKey, worker: _Worker, now: float, before: float | None) -> None:
        try:
            fields = read_file(f"{self._proc}/{key.pid}/stat").rpartition(b")")[2].split()
            state = fields[0].decode() if int(fields[19]) == key.start_ticks else "X"
        except (OSError, IndexError, ValueError):
            state = "X" if key.in_sight else UNSEEN
        if state != worker.state:
            # Whose state was not read at the look before, since its loop had just turned, may have stood then.
            skipped = before is not None and before > worker.state_at and state in STOPPED
            worker.state, worker.state_since = state, before if skipped and before is not None else now
        worker.state_at = now

    def is_suspect(self, key: WorkerKey) -> bool:
        """Whether the latest look has found anything that might become a silence."""
        worker = self._workers.get(key)
        if worker is None:
            return False
        silent = worker.silent is not None and worker.silent >= SILENCE_SECONDS and not worker.rests
        return silent or worker.state in SUSPECT or worker.frozen_since is not None

    def of(self, key: WorkerKey) -> Pulse | None:
        """What the latest look has found."""
        worker = self._workers.get(key)
        if worker is None or self._looked_at is None or not worker.state:
            return None
        wall, frozen_since = self._seen_at, worker.frozen_since
        return Pulse(
            at=wall,
            state=worker.state,
            state_since=wall - (self._looked_at - worker.state_since),
            heartbeat_at=wall - worker.silent if worker.silent is not None else None,
            heartbeat_source="supervisor" if worker.silent is not None else None,
            frozen_since=wall - (self._looked_at - frozen_since) if frozen_since is not None else None,
            booted=worker.file.booted if worker.file is not None else None,
            rests=worker.rests,
            touched_at=wall - worker.silent if worker.silent is not None else None,
            heartbeat_missing=worker.file.missing if worker.file is not None else None,
        )
