"""
What watching a worker takes, with a probe or without: telling of a late loop, and gathering its surroundings.

Reading goes on outside of the lock, so that whoever asks for books or evidence never waits for /proc.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from vitalsd.model import HostEvidence, ObservedLoop, StallEvidence, WorkerKey
from vitalsd.sources.interpreter import Interpreter
from vitalsd.sources.observer.calls import Calls
from vitalsd.sources.observer.events import Ended, Late, Look
from vitalsd.sources.observer.stretch import Stretch
from vitalsd.sources.observer.surroundings import Places, Surroundings, find_places
from vitalsd.sources.observer.thread import ThreadReader
from vitalsd.sources.room import Descriptors
from vitalsd.sources.uv import UvTurns
from vitalsd.targets.processes import has_gone

__all__ = ["Setting", "Watch"]

LOOKS_BEFORE_SURROUNDINGS = 3
"""Most stretches of a loop with much to do are over by then."""
AGAIN_SECONDS = 5.0


class Setting(msgspec.Struct):
    """What all watches share; the threshold alone may be replaced, at any moment and by another thread."""

    proc: Path
    calls: Calls
    room: Descriptors
    threshold_seconds: float
    late_seconds: float
    notify: Callable[[Late | Ended], None]


class Watch:
    """One worker as it is watched."""

    probed = False
    runtime = "unknown"
    told_at = 1.0
    """When a stretch is told, in `late_seconds`."""

    def __init__(self, key: WorkerKey, setting: Setting) -> None:
        self.key = key
        self.due_at = 0.0
        self.lock = threading.Lock()
        self.setting = setting
        self.process = f"{setting.proc}/{key.pid}"
        self.interpreter = Interpreter(setting.proc, key.pid, setting.room)
        self.uv = UvTurns(setting.proc, key.pid, setting.room)
        self._places: Places | None = None
        self._around: dict[str, tuple[Stretch, Surroundings, float]] = {}

    def look(self, now: float, agent_late: float) -> bool:
        """Look at all loops of the worker; the answer is whether all is quiet."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of everything."""
        raise NotImplementedError

    def bursting(self, now: float) -> bool:
        """Whether looks should be frequent."""
        raise NotImplementedError

    @property
    def certain(self) -> bool:
        """Whether a stretch in progress is a stall for sure."""
        return True

    @property
    def suspect(self) -> bool:
        """Whether the next look should not wait for long."""
        return False

    @property
    def missing(self) -> str | None:
        """Why its loop cannot be watched."""
        return None

    @property
    def missing_turns(self) -> str | None:
        """Why the turns of its loop are guessed; None where they are read, or before the interpreter was asked."""
        reasons = {"python": self.interpreter.missing, "node": self.uv.missing}
        why = reasons.get(self.runtime)
        return f"when the turns of its loop began is guessed: {why}" if why is not None else None

    def rest(self) -> None:
        """Nothing is late: let go of what there is no room for."""
        self.interpreter.rest()
        self.uv.rest()

    def close_memory(self) -> None:
        """Look at the process's memory no more."""
        self.interpreter.close()
        self.uv.close()

    def observed(self) -> ObservedLoop | None:
        """The books of a loop without a probe."""
        return None

    def in_progress(self) -> tuple[StallEvidence, ...]:
        """What is known so far of stretches beyond the threshold."""
        raise NotImplementedError

    def settle(self, since: float, was_stall: bool) -> None:
        """Somebody has found what a stretch was; a probe knows that by itself."""

    def with_turn(self, look: Look, reader: ThreadReader) -> Look:
        """The same look, with what the memory of CPython tells of the thread, or that of Node of its loop."""
        if self.runtime == "node":
            turn = self.uv.read(reader.epoll) if reader.epoll is not None else None
        else:
            turn = self.interpreter.read(reader.tid)
        return msgspec.structs.replace(look, turn=turn) if turn is not None else look

    def lives(self) -> bool:
        """Whether the pid still is this worker."""
        return not self.key.in_sight or not has_gone(self.setting.proc, self.key)

    def tell_progress(self, loop: str, tid: int, stretch: Stretch, now: float, agent_late: float) -> None:
        """One more look found this stretch going on: gather its surroundings, and tell of it once."""
        tell = not stretch.told and stretch.seconds >= self.told_at * self.setting.late_seconds
        around = self._around.get(loop)
        found = None
        if around is None or around[0] is not stretch:
            if stretch.looks >= LOOKS_BEFORE_SURROUNDINGS or tell:
                self._places = self._places or find_places(self.setting.proc, self.key.pid)
                begun = Surroundings(self.process, tid, self._places, now)
                self._around[loop] = stretch, begun, now + AGAIN_SECONDS
        elif tell or now >= around[2]:
            found = around[1].read(now)
            self._around[loop] = stretch, around[1], now + AGAIN_SECONDS
        around = self._around.get(loop)
        frozen = around[1].is_frozen(now) if around is not None and around[0] is stretch else None
        with self.lock:
            stretch.agent_late_seconds = max(stretch.agent_late_seconds, agent_late)
            stretch.told |= tell
            if frozen is not None:
                stretch.add_frozen(frozen)
            _take(stretch, found)
        if tell:
            self.setting.notify(Late(self.key, loop, stretch.since, stretch.seconds, self.probed))

    def tell_ended(self, loop: str, stretch: Stretch | None, now: float, agent_late: float) -> None:
        """This stretch, if it was one worth telling, is over."""
        if stretch is None:
            return
        around = self._around.pop(loop, None)
        found = around[1].read(now) if around is not None and around[0] is stretch else None
        with self.lock:
            stretch.agent_late_seconds = max(stretch.agent_late_seconds, agent_late)
            _take(stretch, found)
            evidence = stretch.evidence(loop, self.runtime)
        self.setting.notify(Ended(self.key, evidence, self.probed))

    def evidence(self, loop: str, stretch: Stretch | None) -> tuple[StallEvidence, ...]:
        """What is known of it, if it is beyond the threshold; to be called with the lock."""
        if stretch is None or stretch.seconds < self.setting.threshold_seconds:
            return ()
        return (stretch.evidence(loop, self.runtime),)


def _take(stretch: Stretch, found: tuple[HostEvidence, float | None] | None) -> None:
    if found is not None:
        stretch.host, stretch.sibling_cpu_share = found
