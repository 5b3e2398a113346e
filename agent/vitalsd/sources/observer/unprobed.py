"""
Watches a worker without a probe: finds its loop, looks at the thread, and follows when the loop moves.

A loop whose epoll has been closed is over, and what its thread does after that is not late: a service that shuts
down joins its threads for as long as it likes. So that is looked up before anything is told, and once a second
during a stretch.
"""

from __future__ import annotations

import os

import msgspec

from vitalsd.model import STOPPED, ObservedLoop, StallEvidence, WorkerKey
from vitalsd.sources.epolls import is_epoll
from vitalsd.sources.observer.events import Look
from vitalsd.sources.observer.outside import Outside
from vitalsd.sources.observer.seek import Seeker
from vitalsd.sources.observer.stretch import Stretch
from vitalsd.sources.observer.thread import ANOTHER_EPOLL, ThreadReader
from vitalsd.sources.observer.watch import Setting, Watch

__all__ = ["Unprobed"]

ELSEWHERE_SECONDS = 60.0
"""A thread that waits in another epoll for so long has another loop; waiting for a child may take a while."""
MAIN_AGAIN_SECONDS = 10.0
EPOLL_AGAIN_SECONDS = 1.0


class Unprobed(Watch):
    """One worker without a probe."""

    def __init__(self, key: WorkerKey, setting: Setting) -> None:
        super().__init__(key, setting)
        self._machine = Outside(setting.threshold_seconds)
        self._seeker = Seeker(str(setting.proc), key, setting.calls)
        self._reader: ThreadReader | None = None
        self._thread_id: int | None = None
        self._own_at = 0.0
        self._epoll_checked_at = 0.0
        self._main_checked_at = 0.0

    @property
    def missing(self) -> str | None:
        """Why its loop cannot be watched."""
        return self._seeker.missing

    @property
    def suspect(self) -> bool:
        """Whether the next look should not wait for long."""
        return self._machine.suspect

    @property
    def certain(self) -> bool:
        """Whether the stretch in progress is a stall."""
        return self._machine.certain

    @property
    def loop(self) -> str:
        """What the loop is called."""
        return "main" if self._thread_id == self.key.pid else "loop-1"

    def bursting(self, now: float) -> bool:
        """Whether looks should be frequent."""
        return self._machine.bursting(now)

    def close(self) -> None:
        """Let go of all files; the books stay."""
        with self.lock:
            self._machine.lost(died=False)
        self._release()
        self.close_memory()

    def observed(self) -> ObservedLoop | None:
        """The books, once a loop was found."""
        with self.lock:
            found = self._machine.observed(self._thread_id) if self._thread_id is not None else None
        return msgspec.structs.replace(found, runtime=self.runtime) if found is not None else None

    def in_progress(self) -> tuple[StallEvidence, ...]:
        """What is known so far of a stretch beyond the threshold."""
        with self.lock:
            return self.evidence(self.loop, self._machine.counts())

    def settle(self, since: float, was_stall: bool) -> None:
        """Somebody has found what a stretch was."""
        with self.lock:
            self._machine.settle(since, was_stall)

    def look(self, now: float, agent_late: float) -> bool:
        """One look at the loop's thread, or for it."""
        reader, machine = self._reader, self._machine
        if reader is None:
            self._seek(now)
            return True
        machine.reconfigure(self.setting.threshold_seconds)
        late = machine.current is not None
        found = reader.look(now, late and machine.bursting(now))
        if late and found is not None and found.doing != "loop":
            found = self.with_turn(found, reader)
        if found is not None and found.doing == "loop" and not late:
            self._own_at = now
            with self.lock:
                machine.look(found)
            if reader.tid != self.key.pid:
                self._prefer_main(now)
            return True
        if found is None or reader.refused or (found.doing != "loop" and not reader.pinned and not self.lives()):
            self._lost(now, agent_late)
        elif found.doing != "unknown" or found.state in STOPPED:
            self._found(reader, found, agent_late)
        return False

    def _found(self, reader: ThreadReader, look: Look, agent_late: float) -> None:
        if look.doing == "loop":
            self._own_at = look.at
        elif self._moved(reader, look):
            with self.lock:
                ended = self._machine.lost(died=False)
            self.tell_ended(self.loop, ended, look.at, agent_late)
            self._release()
            return
        before = self._machine.current
        with self.lock:
            ended = self._machine.look(look)
            current = self._machine.counts()
        self.tell_ended(self.loop, ended, look.at, agent_late)
        if current is not None:
            self.tell_progress(self.loop, reader.tid, current, look.at, agent_late)
        elif before is None and self._machine.current is not None:
            self._machine.current.agent_late_seconds = agent_late

    def _moved(self, reader: ThreadReader, look: Look) -> bool:
        """Whether the loop is no more, or the thread has another by now."""
        current: Stretch | None = self._machine.current
        if current is None or current.looks < 2 or reader.epoll is None:
            return False
        soon = min(self.setting.late_seconds, self.setting.threshold_seconds)
        about_to_tell = not current.told and look.at - current.since >= soon
        if about_to_tell or look.at >= self._epoll_checked_at + EPOLL_AGAIN_SECONDS:
            self._epoll_checked_at = look.at
            if not is_epoll(self.process, reader.epoll):
                return self.lives()
        return look.peer == ANOTHER_EPOLL and look.at - self._own_at > ELSEWHERE_SECONDS

    def _lost(self, now: float, agent_late: float) -> None:
        died = not self.lives()
        with self.lock:
            ended = self._machine.lost(died)
        self.tell_ended(self.loop, ended, now, agent_late)
        self._release()

    def _release(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _seek(self, now: float) -> None:
        place = self._seeker.seek(now)
        if place is not None:
            self._take(now, *place)

    def _take(self, now: float, tid: int, epoll: int) -> None:
        reader = ThreadReader(self.process, tid, self.setting.calls, self.setting.room, epoll)
        found = reader.look(now, whole=False)
        if found is None or not self.lives():
            reader.close()
            return
        self._release()
        self._reader, self._thread_id, self._own_at, self._main_checked_at = reader, tid, now, now
        self.runtime = _runtime(self.process)

    def _prefer_main(self, now: float) -> None:
        """A loop of the main thread is the service's own, wherever else one was found before."""
        if now < self._main_checked_at + MAIN_AGAIN_SECONDS:
            return
        self._main_checked_at = now
        epoll = self._seeker.main_waits()
        if epoll is not None:
            self._take(now, self.key.pid, epoll)


def _runtime(process: str) -> str:
    try:
        name = os.path.basename(os.readlink(process + "/exe"))  # noqa: PTH115, PTH119 - text in, text out
    except OSError:
        return "unknown"
    return next((runtime for runtime in ("python", "node") if name.startswith(runtime)), "unknown")
