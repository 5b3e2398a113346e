"""
The segments in the segment folders: opens new ones, tells whose they are, removes those of the dead.

Costs one directory listing a second and one F_GETLK per segment. A segment is dead when nobody holds its lock and
the process that it names is gone. The lock alone is not enough, since a service that closes all descriptors drops
it until the probe has noticed: meanwhile owner, start time and a fresh heartbeat must agree.

Node can hold no lock, so its segments are told by owner, start time and heartbeat alone; one that is silent,
because all of it is stopped or frozen, by the open file.

A service that executes itself keeps pid and start time, and leaves a segment in which everything stands still:
what is in progress there would seem to go on. So without the lock only a heartbeat counts that came after it was
missed.

A process that is out of the agent's sight has a stand-in for its pid, see `standins`. Whose file it is, is then
all that is known of whose process it is.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import structlog

from vitalsd.locks import OUT_OF_SIGHT
from vitalsd.model import WorkerKey
from vitalsd.probe.python import layout
from vitalsd.probe.python.protocol import SUFFIX
from vitalsd.segment.reader import SegmentError, SegmentFile
from vitalsd.targets.lockless import has_hung_up, has_open, is_writer, writer_of
from vitalsd.targets.namespaces import own_number
from vitalsd.targets.places import Place, Places
from vitalsd.targets.processes import Process, is_hidden, read_key
from vitalsd.targets.standins import ANOTHER_NAMESPACE, HIDDEN, StandIns
from vitalsd.targets.unpublished import why_unpublished

__all__ = ["SegmentFolder"]

SILENCE_SECONDS = 8.0
"""A probe that lives has a heartbeat every second, every four where its loops rest."""
QUIET_SECONDS = 5.0
"""For so long, it may have ended: then it is asked whether anybody is there."""
LOST_SECONDS = 10.0
"""For so long, one that we cannot see may yet take its lock again."""
FORSAKEN_SECONDS = 600.0
"""And one that can take none, and is out of our sight, may have been stopped, and come back to its file."""
RETRY_SECONDS = 30.0
REASON_SECONDS = 10.0
"""How long what keeps a worker from publishing is taken to be the same."""
NAME = re.compile(r"[a-z]+-(\d+)-[0-9a-f]{8}\.seg")
"""`python-4711-0a1b2c3d.seg`, the pid as its process has it."""
LOCKLESS = "node"
log = structlog.get_logger(__name__)


class Whose(msgspec.Struct, frozen=True):
    """Whose segment it is, as far as can be told."""

    pid: int | None
    dead: bool = False
    locked: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """Why a file that looks like a segment is not read, and whose it would be."""

    reason: str
    retry_at: float
    holder: int | None = None
    """The pid of its process where the kernel or the segment itself tells."""
    named: int | None = None
    """Else the pid in its name, as that process has it in its own namespace."""
    uid: int | None = None
    """The owner of the file, with `named`; None where that may not be seen."""


class SegmentFolder:
    """All live segments, by the pid of their process in the agent's namespace."""

    def __init__(self, folders: Callable[[], Iterable[Place]], proc: Path = Path("/proc")) -> None:
        self._places = Places(folders)
        self._proc = proc
        self._open: dict[Path, SegmentFile] = {}
        self._refusals: dict[Path, Refusal] = {}
        self._pids: dict[Path, int] = {}
        self._unlocked_since: dict[Path, float] = {}
        self._now = 0.0
        self._reasons: dict[WorkerKey, tuple[float, str]] = {}
        self._standins = StandIns()
        self._buried: set[Path] = set()
        """Those of the dead that may not be removed: no other process will have one of that name."""
        self._newcomers = False
        """Whether a segment has come that may be in the place of one whose process has just ended."""

    @property
    def out_of_sight(self) -> dict[int, str]:
        """The pids of those whose segment is all that the agent sees of them, each with the reason."""
        return self._standins.reasons

    @property
    def refused(self) -> dict[Path, str]:
        """Files that look like segments and cannot be read, with the reason."""
        return {path: refusal.reason for path, refusal in self._refusals.items()}

    def refusal(self, process: Process) -> str:
        """Why nothing that this process publishes is read, or why it publishes nothing, if that is known."""
        if self._refusals:
            pid = own_number(f"{self._proc}/{process.pid}/status") or process.pid
            for refusal in self._refusals.values():
                named = refusal.named == pid and refusal.uid in (None, 0, process.uid)
                if named or refusal.holder == process.pid:
                    return refusal.reason
        return self._places.problem_for(process.uid) or self._why_unpublished(process)

    def _why_unpublished(self, process: Process) -> str:
        known = self._reasons.get(process.key)
        if known is None or self._now >= known[0]:
            reason = why_unpublished(process, self._places.places, self._proc)
            known = self._reasons[process.key] = self._now + REASON_SECONDS, reason
        return known[1]

    def refresh(self, now: float, ended_target: str | None = None) -> dict[int, SegmentFile]:
        """
        Look again at CLOCK_MONOTONIC `now`.

        Of `ended_target` we know that it ran beside us: a process of it that we do not see is gone.
        """
        self._now = now
        self._reasons = {key: known for key, known in self._reasons.items() if now < known[0]}
        paths = self._places.segments(self._open.keys())
        for path in [path for path in self._open if path not in paths]:
            self._drop(path)
        for path in [path for path in self._refusals if path not in paths]:
            del self._refusals[path]
        self._buried &= paths
        paths -= self._buried
        self._newcomers = not paths <= self._open.keys() | self._refusals.keys()
        found: dict[int, SegmentFile] = {}
        ranks: dict[int, tuple[bool, float]] = {}
        for path in sorted(path for path in paths if self._is_due(path, now)):
            segment = self._open.get(path) or self._try_open(path, now)
            if segment is None:
                continue
            whose = self._whose(path, segment, now, ended_target)
            if whose.dead:
                self._bury(path)
            elif whose.pid is not None:
                self._refusals.pop(path, None)
                rank = whose.locked, segment.header.created_at
                if whose.pid not in found or rank > ranks[whose.pid]:
                    found[whose.pid], ranks[whose.pid] = segment, rank
        return found

    def has_news(self) -> bool:
        """Whether anything was made or removed there since the latest look."""
        return self._places.have_changed()

    def _is_due(self, path: Path, now: float) -> bool:
        refusal = self._refusals.get(path)
        return refusal is None or now >= refusal.retry_at

    def _try_open(self, path: Path, now: float) -> SegmentFile | None:
        try:
            segment = self._open[path] = SegmentFile(path)
        except SegmentError as error:
            name = NAME.fullmatch(path.name)
            try:
                uid = path.lstat().st_uid
            except FileNotFoundError:
                return None
            except OSError:
                uid = None
            reason, retry_at = str(error), now + RETRY_SECONDS
            self._refuse(path, Refusal(reason, retry_at, named=int(name[1]) if name else None, uid=uid))
            return None
        return segment

    def _refuse(self, path: Path, refusal: Refusal) -> Whose:
        """Leave this one alone for a while, and say so once."""
        earlier = self._refusals.get(path)
        if earlier is None or earlier.reason != refusal.reason:
            log.warning("segment_refused", path=str(path), reason=refusal.reason)
        self._refusals[path] = refusal
        return Whose(None)

    def _refuse_foreign(self, path: Path, segment: SegmentFile, uid: int, pid: int, now: float) -> Whose:
        reason = f"{path} belongs to uid {segment.owner_uid}, and its process to uid {uid}"
        return self._refuse(path, Refusal(reason, now + RETRY_SECONDS, holder=pid))

    def _whose_lockless(self, path: Path, segment: SegmentFile, now: float) -> Whose:
        """Of a runtime without locks."""
        header = segment.header
        try:
            pid = self._pids.get(path) or writer_of(self._proc, header)
            gone = pid is None or not is_writer(self._proc, pid, header)
        except OSError:  # not known now
            return Whose(None)
        age = abs(now - _heartbeat(segment))
        silent = not age < SILENCE_SECONDS
        if pid is None or gone:
            if path in self._pids:
                return Whose(None, dead=True)
            hidden = is_hidden(self._proc, header.pid)
            known = self._standins.known(path)
            was_hidden = known is not None and self.out_of_sight[known] == HIDDEN
            unsure = known is not None and (self._newcomers or age > QUIET_SECONDS)
            if (was_hidden and not hidden) or (unsure and has_hung_up(path)):
                return Whose(None, dead=True)
            if not silent or (known is not None and age < LOST_SECONDS):
                return self._stand_in(path, segment, HIDDEN if hidden else ANOTHER_NAMESPACE)
            self._standins.drop(path)
            # One that has just been made has no heartbeat yet.
            silent_seconds = time.time() - header.created_at if math.isnan(age) else age
            return Whose(None, dead=not silent_seconds < FORSAKEN_SECONDS)
        uid = self._uid(pid)
        if uid is None:
            return Whose(None)
        if not _may_speak(segment.owner_uid, uid):
            return self._refuse_foreign(path, segment, uid, pid, now)
        if silent and not has_open(self._proc, pid, path):
            reason = f"{path} has no heartbeat of the last {SILENCE_SECONDS:g} s"
            return self._refuse(path, Refusal(reason, now, holder=pid))
        self._pids[path] = pid
        return Whose(pid, locked=True)

    def _whose(self, path: Path, segment: SegmentFile, now: float, ended_target: str | None) -> Whose:
        if segment.header.runtime == LOCKLESS:
            return self._whose_lockless(path, segment, now)
        holder = segment.holder()
        header = segment.header
        if holder is not None:
            self._unlocked_since.pop(path, None)
        if holder == OUT_OF_SIGHT:
            return self._stand_in(path, segment, ANOTHER_NAMESPACE)
        if holder is not None:
            uid = self._uid(holder)
            if uid is None and is_hidden(self._proc, holder):
                return self._stand_in(path, segment, HIDDEN)
            if uid is None:
                return Whose(None)  # it has gone in this moment
            if not _may_speak(segment.owner_uid, uid):
                return self._refuse_foreign(path, segment, uid, holder, now)
            self._pids[path] = holder
            self._standins.drop(path)
            return Whose(holder, locked=True)
        # Nobody holds the lock: nobody can who has closed it, and the kernel does not show us our own.
        pid = self._pids.get(path, header.pid)
        try:
            key = read_key(self._proc, pid)
        except OSError:  # not known now
            return Whose(None)
        same = key is not None and key.start_ticks == header.start_ticks
        alive = same and _may_speak(segment.owner_uid, self._uid(pid))
        if alive and pid == os.getpid():
            return Whose(pid)
        heartbeat = _heartbeat(segment)
        age = now - heartbeat  # below zero when it came after this look had begun
        unlocked_since = self._unlocked_since.setdefault(path, now)
        if alive and abs(age) < SILENCE_SECONDS:
            if heartbeat < unlocked_since:
                return Whose(None)
            self._pids[path] = pid
            return Whose(pid)
        if alive:
            reason = f"{path} is not locked, and has no heartbeat of the last {SILENCE_SECONDS:g} s"
            return self._refuse(path, Refusal(reason, now, holder=pid))
        stands_in = self._standins.known(path)
        if stands_in is not None and abs(age) < SILENCE_SECONDS and heartbeat >= unlocked_since:
            return Whose(stands_in)
        return Whose(None, dead=path in self._pids or header.target == ended_target or not abs(age) < LOST_SECONDS)

    def _stand_in(self, path: Path, segment: SegmentFile, reason: str) -> Whose:
        """It lives, and the agent sees nothing of it but this."""
        pid = self._standins.put(path, segment.header.pid, reason)
        if pid is None:
            reason = f"{reason}; and there are too many such with its pid"
            return self._refuse(path, Refusal(reason, self._now + RETRY_SECONDS))
        return Whose(pid, locked=True)

    def _uid(self, pid: int) -> int | None:
        try:
            return os.stat(f"{self._proc}/{pid}").st_uid  # noqa: PTH116 - a Path would cost more than the call
        except OSError:
            return None

    def _bury(self, path: Path) -> None:
        segment = self._open.get(path)
        if segment is not None and segment.holder() is None:
            log.debug("segment_removed", path=str(path))
            try:
                path.with_name(path.name + SUFFIX).unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            except OSError:  # of another user, or in a folder that is read-only here
                self._buried.add(path)
        self._drop(path)

    def _drop(self, path: Path) -> None:
        segment = self._open.pop(path, None)
        self._pids.pop(path, None)
        self._standins.drop(path)
        self._unlocked_since.pop(path, None)
        if segment is not None:
            segment.close()

    def close(self) -> None:
        """Let go of every segment."""
        for path in list(self._open):
            self._drop(path)


def _may_speak(owner_uid: int, uid: int | None) -> bool:
    """A segment speaks for a process only when its owner could be that process, or is root."""
    return uid is not None and owner_uid in (0, uid)


def _heartbeat(segment: SegmentFile) -> float:
    """The latest one of its probe; NaN where there is none."""
    process = segment.read(layout.PROCESS)
    return process.fields["heartbeat"] if process is not None else math.nan
