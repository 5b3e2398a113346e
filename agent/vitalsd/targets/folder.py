"""
The segments in the segment folders: opens new ones, tells whose they are, removes those of the dead.

Costs one directory listing a second and one F_GETLK per segment. A segment is dead when nobody holds its lock and
the process that it names is gone. The lock alone is not enough, since a service that closes all descriptors drops
it until the probe has noticed: meanwhile owner, start time and a fresh heartbeat must agree.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import structlog

from vitalsd.probe.python import layout
from vitalsd.segment.reader import HELD_OUT_OF_SIGHT, SegmentError, SegmentFile
from vitalsd.targets.processes import read_key

__all__ = ["SegmentFolder", "default_folders"]

SHARED = Path("/dev/shm")  # noqa: S108 - only folders of the user in their name are read
SILENCE_SECONDS = 10.0
RETRY_SECONDS = 30.0
log = structlog.get_logger(__name__)


def default_folders(chosen: str | None) -> list[Path]:
    """Where probes put their segments: the chosen folder, or each place a probe falls back to."""
    if chosen:
        return [Path(chosen)]
    mine = [Path("/run/vitalsd"), SHARED / f"vitalsd-{os.geteuid()}"]
    if os.geteuid() == 0:
        mine += [folder for folder in sorted(SHARED.glob("vitalsd-*")) if folder not in mine]
    return mine


class Whose(msgspec.Struct, frozen=True):
    """Whose segment it is, as far as can be told."""

    pid: int | None
    dead: bool = False


class SegmentFolder:
    """All live segments, by the pid of their process in the agent's namespace."""

    def __init__(self, folders: Callable[[], Iterable[Path]], proc: Path = Path("/proc")) -> None:
        self._folders = folders
        self._proc = proc
        self._open: dict[Path, SegmentFile] = {}
        self._refused: dict[Path, str] = {}
        self._retry_at: dict[Path, float] = {}
        self._pids: dict[Path, int] = {}

    @property
    def refused(self) -> dict[Path, str]:
        """Files that look like segments and cannot be read, with the reason."""
        return dict(self._refused)

    def refresh(self, now: float, ended_target: str | None = None) -> dict[int, SegmentFile]:
        """
        Look again at CLOCK_MONOTONIC `now`.

        Of `ended_target` we know that it ran beside us: a process of it that we do not see is gone.
        """
        paths = set(self._listed())
        for path in list(self._open):
            if path not in paths:
                self._drop(path)
        for path in list(self._refused):
            if path not in paths:
                del self._refused[path], self._retry_at[path]
        found: dict[int, SegmentFile] = {}
        for path in sorted(path for path in paths if now >= self._retry_at.get(path, now)):
            segment = self._open.get(path) or self._try_open(path, now)
            if segment is None:
                continue
            whose = self._whose(path, segment, now, ended_target)
            if whose.dead:
                self._bury(path)
            elif whose.pid is not None:
                found[whose.pid] = segment
        return found

    def _listed(self) -> Iterable[Path]:
        for folder in self._folders():
            try:
                information = folder.lstat()
                found = list(folder.iterdir())
            except OSError:
                continue
            planted = folder.parent == SHARED and folder.name != f"vitalsd-{information.st_uid}"
            if stat.S_ISDIR(information.st_mode) and not planted:
                yield from (path for path in found if path.suffix == ".seg" and path.name[0] != ".")

    def _try_open(self, path: Path, now: float) -> SegmentFile | None:
        try:
            segment = self._open[path] = SegmentFile(path)
        except SegmentError as error:
            if path.exists():
                self._refuse(path, str(error), now)
            return None
        return segment

    def _refuse(self, path: Path, reason: str, now: float) -> None:
        """Leave this one alone for a while, and say so once."""
        if self._refused.get(path) != reason:
            log.warning("segment_refused", path=str(path), reason=reason)
        self._refused[path] = reason
        self._retry_at[path] = now + RETRY_SECONDS

    def _whose(self, path: Path, segment: SegmentFile, now: float, ended_target: str | None) -> Whose:
        holder = segment.holder()
        header = segment.header
        if holder == HELD_OUT_OF_SIGHT:
            self._refuse(path, "its process is in another pid namespace: let the agent share it", now)
            return Whose(None)
        if holder is not None:
            if not self._may_own(holder, segment.owner_uid):
                return Whose(None)
            self._pids[path] = holder
            return Whose(holder)
        # Nobody holds the lock: nobody can who has closed it, and the kernel does not show us our own.
        pid = self._pids.get(path, header.pid)
        key = read_key(self._proc, pid)
        alive = key is not None and key.start_ticks == header.start_ticks and self._may_own(pid, segment.owner_uid)
        if alive and pid == os.getpid():
            return Whose(pid)
        process = segment.read(layout.PROCESS)
        fresh = process is not None and 0 <= now - process.fields["heartbeat"] < SILENCE_SECONDS
        if alive:
            if fresh:
                self._pids[path] = pid
            return Whose(pid if fresh else None)
        return Whose(None, dead=path in self._pids or header.target == ended_target or not fresh)

    def _may_own(self, pid: int, owner_uid: int) -> bool:
        """A segment speaks for a process only when its owner could be that process, or is root."""
        try:
            return owner_uid in (0, (self._proc / str(pid)).stat().st_uid)
        except OSError:
            return False

    def _bury(self, path: Path) -> None:
        segment = self._open.get(path)
        if segment is not None and segment.holder() is None:
            log.debug("segment_removed", path=str(path))
            path.unlink(missing_ok=True)
        self._drop(path)

    def _drop(self, path: Path) -> None:
        segment = self._open.pop(path, None)
        self._pids.pop(path, None)
        if segment is not None:
            segment.close()

    def close(self) -> None:
        """Let go of every segment."""
        for path in list(self._open):
            self._drop(path)
