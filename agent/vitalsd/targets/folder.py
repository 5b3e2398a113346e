"""
The segments in the segment folders: opens new ones, tells whose they are, removes those of the dead.

Costs one directory listing a second and one F_GETLK per segment. A segment is dead when nobody holds its lock
and its heartbeat has been silent for a while; the lock alone is not enough, since a service that closes all
descriptors drops it until the probe has noticed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from vitalsd.probe.python import layout
from vitalsd.segment.reader import SegmentError, SegmentFile

__all__ = ["SegmentFolder", "default_folders"]

SILENCE_SECONDS = 10.0
log = structlog.get_logger(__name__)


def default_folders(chosen: str | None) -> list[Path]:
    """Where probes put their segments: the chosen folder, or each place a probe falls back to."""
    if chosen:
        return [Path(chosen)]
    shared = Path("/dev/shm")  # noqa: S108 - only folders of their own owner are read
    mine = [Path("/run/vitalsd"), shared / f"vitalsd-{os.geteuid()}"]
    if os.geteuid() == 0:
        mine += [folder for folder in sorted(shared.glob("vitalsd-*")) if folder not in mine]
    return mine


class SegmentFolder:
    """All live segments, by the pid of their process in the agent's namespace."""

    def __init__(self, folders: Callable[[], Iterable[Path]], proc: Path = Path("/proc")) -> None:
        self._folders = folders
        self._proc = proc
        self._open: dict[Path, SegmentFile] = {}
        self._refused: dict[Path, str] = {}
        self._pids: dict[Path, int] = {}

    @property
    def refused(self) -> dict[Path, str]:
        """Files that look like segments and cannot be read, with the reason."""
        return dict(self._refused)

    def refresh(self, now: float) -> dict[int, SegmentFile]:
        """Look again at CLOCK_MONOTONIC `now`."""
        paths = set(self._listed())
        for path in list(self._open):
            if path not in paths:
                self._drop(path)
        for path in list(self._refused):
            if path not in paths:
                del self._refused[path]
        found: dict[int, SegmentFile] = {}
        for path in sorted(paths - self._refused.keys()):
            segment = self._open.get(path) or self._try_open(path)
            if segment is None:
                continue
            pid = self._process_of(path, segment, now)
            if pid is None:
                self._bury(path)
            else:
                found[pid] = segment
        return found

    def _listed(self) -> Iterable[Path]:
        for folder in self._folders():
            try:
                information = folder.lstat()
                found = list(folder.iterdir())
            except OSError:
                continue
            if stat.S_ISDIR(information.st_mode):
                yield from (path for path in found if path.suffix == ".seg" and path.name[0] != ".")

    def _try_open(self, path: Path) -> SegmentFile | None:
        try:
            segment = self._open[path] = SegmentFile(path)
        except SegmentError as error:
            if path.exists():
                self._refused[path] = str(error)
                log.warning("segment_refused", path=str(path), reason=str(error))
            return None
        return segment

    def _process_of(self, path: Path, segment: SegmentFile, now: float) -> int | None:
        holder = segment.holder()
        if holder is not None:
            if self._may_own(holder, segment.owner_uid):
                self._pids[path] = holder
                return holder
            return None
        pid = self._pids.get(path, segment.header.pid)
        process = segment.read(layout.PROCESS)
        silent = process is None or not now - process.fields["heartbeat"] < SILENCE_SECONDS
        return None if silent or not (self._proc / str(pid)).exists() else pid

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
