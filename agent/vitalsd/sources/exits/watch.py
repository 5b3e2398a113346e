"""
Watches every worker for its end, by a pidfd in the agent's loop, and finds out how it ended.

A pidfd becomes readable when its process ends, so an end is noticed within a millisecond of it. Where there can be
none (a kernel before 5.3, no descriptor left) the next round notices, and asks for one again. One descriptor and
some 200 us for a new worker, nothing at rest. An agent that cannot open a file just now knows nothing: who is not
known to be gone has not ended. Who was forked and may yet execute something else is looked at again a moment
later: a helper that was taken for a worker between fork and exec ends unnoticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import structlog

from vitalsd.model import (
    SUPERVISOR,
    Exit,
    ExitReason,
    MemoryKill,
    Supervisor,
    SupervisorKind,
    TargetSnapshot,
    WorkerKey,
    WorkerSample,
)
from vitalsd.settings.model import Settings
from vitalsd.sources.cgroup.kills import KillCounters
from vitalsd.sources.exits.book import Ended, ExitBook
from vitalsd.sources.exits.kernel import Trace, is_readable, look, open_pidfd, told_by_pidfd
from vitalsd.sources.permission import unreadable
from vitalsd.targets.finder import Found
from vitalsd.targets.processes import has_gone, read_key
from vitalsd.targets.supervisors import kind_named
from vitalsd.ticks import age_seconds

__all__ = ["ExitWatch"]

CONFIRM_SECONDS = 0.05
"""A fork that executes something does so at a lesser age."""
ASK_AGAIN_SECONDS = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.25, 0.25, 0.25, 0.25)
"""Until the parent has fetched it; a supervisor that looks each half second has by then."""
FETCHED = (
    "its parent had fetched how it ended before it could be read, and this kernel keeps it for nobody else "
    "(Linux 6.15 does)"
)
OUT_OF_SIGHT = "its process was out of this agent's sight, which sees that it has ended and not how"
log = structlog.get_logger(__name__)


class _Watched(msgspec.Struct):
    """One process that is followed."""

    target: str
    slot: str
    descriptor: int | None = None
    kind: SupervisorKind | None = None
    """What supervisor it has, or is."""
    above: WorkerKey | None = None
    """That supervisor."""
    has_headed: bool = False
    """It has been one itself."""
    timeout_seconds: float | None = None
    sample: WorkerSample | None = None
    confirmed: bool = True
    ended: Ended | None = None
    asked: int = 0
    """How often the kernel was asked how it has ended."""


class ExitWatch:
    """All workers' ends. Its methods belong to the agent's loop."""

    def __init__(self, book: ExitBook, proc: Path = Path("/proc")) -> None:
        self._book = book
        self._proc = proc
        self._watched: dict[WorkerKey, _Watched] = {}
        self._ending: dict[WorkerKey, _Watched] = {}
        self._kills = KillCounters(proc)
        self._told_failure = False
        self.ended: Callable[[], None] = lambda: None
        """Called when a worker has ended."""
        self.told: Callable[[], None] = lambda: None
        """Called when it is known how."""

    def reconfigure(self, settings: Settings) -> None:
        """Keep as many ends as the configuration's rules go by."""
        self._book.reconfigure(settings.workers.crash_loop_exits, settings.workers.crash_loop_within)

    def follow(self, found: Found) -> None:
        """Watch whoever sits somewhere now; who does not any more has ended, or never was a worker."""
        here = {supervisor.key: (name, SUPERVISOR, "") for name, supervisor in found.supervisors.items()}
        for name, seats in found.targets.items():
            here |= {seat.key: (name, seat.slot, seat.command) for seat in seats if seat.key is not None}
        for key in [key for key in self._watched if key not in here]:
            self._left(key)
        for key, (name, slot, command) in here.items():
            watched = self._watched.get(key)
            if watched is None and not self._is_known(key):
                watched = self._begin(key, name, slot)
            elif watched is not None and watched.descriptor is None:
                self._open(key, watched)
            if watched is not None:
                watched.target, watched.slot = name, slot
                _place(watched, key, found.supervisors.get(name), command)
        seated = {name: {seat.slot: seat.key for seat in seats} for name, seats in found.targets.items()}
        unfetched = {zombie.key for zombies in found.zombies.values() for zombie in zombies}
        self._book.follow(seated, time.time(), unfetched)

    def remember(self, exits: Iterable[Exit]) -> None:
        """Go on with the ends that an earlier agent has left."""
        self._book.remember(exits)

    def last(self, target: str) -> dict[str, Exit]:
        """By slot, the last end of each place of a target that nobody was seen in since."""
        return self._book.last(target)

    def note(self, targets: Iterable[TargetSnapshot]) -> None:
        """Take in a round of sampling: what was known of each worker last, should it end; and settle accounts."""
        for target in targets:
            for worker in target.workers:
                watched = self._watched.get(worker.key) if worker.key is not None else None
                if watched is not None and worker.up:
                    watched.sample = worker
        for moved in self._kills.settle(time.monotonic()):
            members = [self._watched[key] for key in self._kills.members(moved.group) if key in self._watched]
            for name in {watched.target for watched in members}:
                sample = next((each.sample for each in members if each.target == name and each.sample), None)
                self._book.stray(name, moved, sample, time.time())

    def has_news(self) -> bool:
        """Whether something was killed for memory of which is not known yet whom it has met."""
        return self._kills.unsettled

    def expect(self, key: WorkerKey) -> None:
        """This agent is about to have this worker end: it is `recycled` then."""
        self._book.expect(key)

    def of(self, target: str) -> tuple[tuple[Exit, ...], tuple[MemoryKill, ...]]:
        """The ends of late of a target, and the kills for memory that have met others than its workers."""
        return self._book.of(target), self._book.strays_of(target)

    def reason(self, key: WorkerKey) -> ExitReason | None:
        """Why this worker has ended; None while that is being found out, `unknown` for who was never watched."""
        if key in self._watched or key in self._ending:
            return None
        return self._book.reason(key)

    def close(self) -> None:
        """Watch nobody any more."""
        for key in list(self._watched):
            self._drop(key)
        for key, ending in list(self._ending.items()):
            self._forget(key, ending)

    def _begin(self, key: WorkerKey, target: str, slot: str) -> _Watched | None:
        """Watch one more; None where it is over already."""
        watched = self._watched[key] = _Watched(target, slot)
        self._open(key, watched)
        if watched.descriptor is None and key.in_sight and has_gone(self._proc, key):
            self._end(key)
            return None
        return watched

    def _open(self, key: WorkerKey, watched: _Watched) -> None:
        """Have a descriptor that tells of its end, if there can be one now."""
        if not key.in_sight:
            return
        self._kills.follow(key)
        try:
            watched.descriptor = open_pidfd(self._proc, key)
        except OSError as error:
            if not self._told_failure:
                self._told_failure = True
                log.warning("exits_polled", reason=f"ends are noticed in the next round alone: {error}")
        if watched.descriptor is None:
            return
        asyncio.get_running_loop().add_reader(watched.descriptor, self._end, key)
        trace = self._look(key)
        if trace is not None and trace.forked and age_seconds(key.start_ticks) < CONFIRM_SECONDS:
            watched.confirmed = False
            asyncio.get_running_loop().call_later(CONFIRM_SECONDS, self._confirm, key)

    def _look(self, key: WorkerKey) -> Trace | None:
        """What /proc has of it; None where it is gone, and where that is not known now."""
        with contextlib.suppress(OSError):
            return look(self._proc, key)
        return None

    def _is_known(self, key: WorkerKey) -> bool:
        """Whether it is this agent, or its end is told or about to be."""
        if key.pid == os.getpid() or key in self._ending:
            return True
        if self._book.knows(key) and self._lives(key):
            self._book.undo(key)
        return self._book.knows(key)

    def _lives(self, key: WorkerKey) -> bool:
        """Whether it is known to: nobody who has ended does so again."""
        try:
            return not key.in_sight or read_key(self._proc, key.pid) == key
        except OSError:
            return False

    def _confirm(self, key: WorkerKey) -> None:
        """Whoever has executed something is another program by now; the next look says whether it is a worker."""
        watched = self._watched.get(key)
        trace = self._look(key) if watched is not None else None
        if watched is None or trace is None:
            return
        watched.confirmed = trace.forked
        if not trace.forked and not trace.ended:
            self._drop(key)

    def _left(self, key: WorkerKey) -> None:
        """Nobody has this seat any more."""
        watched = self._watched[key]
        if watched.descriptor is not None and is_readable(watched.descriptor):
            self._end(key)
        elif not has_gone(self._proc, key):
            # Whose supervisor has gone is nobody's worker any more, and yet ends as what it was.
            if watched.above is None or not has_gone(self._proc, watched.above):
                self._drop(key)
        elif watched.descriptor is None:
            self._end(key)
        # Else its main thread has ended, and others of it are about to: the descriptor tells when.

    def _end(self, key: WorkerKey) -> None:
        """It has ended."""
        watched = self._watched.pop(key, None)
        if watched is None:
            return
        if watched.descriptor is not None:
            asyncio.get_running_loop().remove_reader(watched.descriptor)
        trace = self._look(key)
        if not watched.confirmed and (trace is None or not trace.forked):
            self._forget(key, watched)
            return
        watched.ended = Ended(
            key=key,
            target=watched.target,
            slot=watched.slot,
            at=time.time(),
            lived_seconds=age_seconds(key.start_ticks),
            kind=watched.kind,
            rank="master" if watched.has_headed else "worker" if watched.above is not None else "alone",
            expected=self._book.is_expected(key),
            timeout_seconds=watched.timeout_seconds,
            sample=watched.sample,
        )
        self._ending[key] = watched
        self.ended()
        self._ask(key)

    def _ask(self, key: WorkerKey) -> None:
        """Find out how, and again in a moment while nobody tells."""
        watched = self._ending.get(key)
        if watched is None:
            return
        trace = self._look(key)
        if trace is not None and trace.status is not None:
            self._tell(key, watched, trace.status, late=True)
            return
        try:
            status = told_by_pidfd(watched.descriptor) if watched.descriptor is not None else None
            waits = status is None and watched.descriptor is not None and watched.asked < len(ASK_AGAIN_SECONDS)
        except OSError:  # this kernel does not tell
            status, waits = None, False
        if waits:
            asyncio.get_running_loop().call_later(ASK_AGAIN_SECONDS[watched.asked], self._ask, key)
            watched.asked += 1
            return
        untold = FETCHED if trace is None else unreadable(f"{self._proc}/{key.pid}", "stat")
        untold = untold if key.in_sight else OUT_OF_SIGHT
        self._tell(key, watched, status, untold if status is None else "")

    def _tell(
        self, key: WorkerKey, watched: _Watched, status: int | None, untold: str = "", *, late: bool = False
    ) -> None:
        """It is known how, or will not be."""
        assert watched.ended is not None
        killed = status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        claimed = self._kills.claim(key) if killed else None
        self._book.end(watched.ended, status, claimed, untold, late=late)
        self._forget(key, watched)
        self.told()

    def _drop(self, key: WorkerKey) -> None:
        watched = self._watched.pop(key)
        if watched.descriptor is not None:
            asyncio.get_running_loop().remove_reader(watched.descriptor)
        self._forget(key, watched)

    def _forget(self, key: WorkerKey, watched: _Watched) -> None:
        self._ending.pop(key, None)
        self._kills.leave(key)
        if watched.descriptor is not None:
            os.close(watched.descriptor)
            watched.descriptor = None


def _place(watched: _Watched, key: WorkerKey, supervisor: Supervisor | None, command: str) -> None:
    """Take over what is above it now; who was at the head of others once stays that when the last of them goes."""
    if supervisor is not None:
        watched.kind, watched.timeout_seconds = supervisor.kind, supervisor.timeout_seconds
        watched.has_headed = watched.has_headed or supervisor.key == key
        watched.above = supervisor.key if supervisor.key != key else None
    elif watched.kind is None:
        watched.kind = kind_named(command)
