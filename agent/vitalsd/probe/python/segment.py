"""
Writes a segment: creates the file, holds its lock, and stores records the way `layout` says.

The space is allocated before it is mapped, so a full disk is an error here and not a SIGBUS later. The file is
never truncated and the mapping never closed: `mmap` keeps a duplicate of the descriptor, and a service that
closes all descriptors may since have reused its number. Every use of the descriptor checks that it still is the
segment's, for the same reason.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import sys
from binascii import crc32
from time import time

from . import layout

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

DEAD_SEGMENTS_LOOKED_AT = 64
YOUNG_SECONDS = 60.0


def segment_directory() -> str:
    """`$VITALSD_DIR`, else /run/vitalsd when it may be written, else a folder of this user's in shared memory."""
    chosen = os.environ.get("VITALSD_DIR")
    if chosen:
        return chosen
    if os.access("/run/vitalsd", os.W_OK | os.X_OK):
        return "/run/vitalsd"
    return "/dev/shm/vitalsd-%d" % os.geteuid()  # noqa: S108 - ownership is checked before use


def ensure_directory(path: str) -> None:
    """Make the folder if need be; refuse one in a shared place that somebody else could have put there."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(path)
    in_shared_memory = path.startswith("/dev/shm/")  # noqa: S108
    if in_shared_memory and (found.st_uid != os.geteuid() or not os.path.isdir(path) or os.path.islink(path)):
        raise PermissionError("%s belongs to uid %d" % (path, found.st_uid))


def start_ticks() -> float:
    """When this process started, as the kernel counts it."""
    with open("/proc/self/stat", "rb") as file:
        return float(file.read().rsplit(b")", 1)[1].split()[19])


class Segment:
    """One segment of this process, open for writing."""

    def __init__(self, stall_threshold_seconds: float) -> None:
        folder = segment_directory()
        ensure_directory(folder)
        sweep(folder)
        name = "python-%d-%s.seg" % (os.getpid(), os.urandom(4).hex())
        self.path = os.path.join(folder, name)
        self._pid = os.getpid()
        aside = os.path.join(folder, "." + name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(aside, flags, 0o600)
        try:
            os.posix_fallocate(self._fd, 0, layout.SIZE)
            self._map = _map(self._fd)
            self.words: Any = memoryview(self._map).cast("d")
            self._sequences: dict[int, float] = {}
            self._packers: dict[int, struct.Struct] = {}
            self._write_header(stall_threshold_seconds)
            self._stat = os.fstat(self._fd)
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(aside, self.path)
        except BaseException:
            os.close(self._fd)
            os.unlink(aside)
            raise

    def _write_header(self, stall_threshold_seconds: float) -> None:
        nan = float("nan")
        for record in (layout.PROCESS, *layout.LOOP, *layout.CURRENT_STALL, *layout.RECENT_STALL):
            self.put(record, [nan] * len(record.fields))
        version = "%d.%d.%d" % sys.version_info[:3]
        text = "python\n%s\n%s" % (version, " ".join(os.environ.get("VITALSD_TARGET", "").split()))
        header = (float(os.getpid()), float(os.geteuid()), start_ticks(), time(), stall_threshold_seconds)
        self.put(layout.HEADER, header, text.encode("utf-8", "replace"))
        struct.pack_into("<8sdd", self._map, 0, layout.MAGIC, float(layout.VERSION), float(layout.SIZE))

    def put(self, record: layout.Record, values: Sequence[float], text: bytes = b"") -> None:
        """Store one record whole. Each record has one writer at a time."""
        offset = record.offset
        packer = self._packers.get(len(values))
        if packer is None:
            packer = self._packers[len(values)] = struct.Struct("<%dd" % (len(values) + 1))
        text = text[: record.text_bytes]
        body = packer.pack(*values, len(text)) + text
        sequence = self._sequences.get(offset, 0.0)
        words = self.words
        words[offset] = sequence + 1
        start = (offset + 2) * 8
        self._map[start : start + len(body)] = body
        words[offset + 1] = float(crc32(body))
        words[offset] = self._sequences[offset] = sequence + 2

    def confess(self, problem: str) -> None:
        """Leave the agent a word on why there will be no more news from here."""
        self.put(layout.PROCESS, [float("nan")] * len(layout.PROCESS_FIELDS), problem.encode("utf-8", "replace"))

    def keep_lock(self) -> None:
        """Take the lock again where the service closed our descriptor under us."""
        if _is_file(self._fd, self._stat):
            return
        fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not _is_file(fd, self._stat):
            os.close(fd)
            raise FileNotFoundError(self.path)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._fd = fd

    def remove(self) -> None:
        """Take the file away at the end of the process that made it."""
        if os.getpid() == self._pid:
            try:
                os.unlink(self.path)
            except OSError:
                pass

    def forget_in_child(self) -> None:
        """After a fork: the mapping is the parent's, this process only lets go of the descriptor."""
        if _is_file(self._fd, self._stat):
            os.close(self._fd)


def _map(fd: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        return mmap.mmap(fd, layout.SIZE, trackfd=False)
    return mmap.mmap(fd, layout.SIZE)


def _is_file(fd: int, stat: os.stat_result) -> bool:
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (stat.st_dev, stat.st_ino)


def sweep(folder: str) -> None:
    """
    Remove segments that dead processes of this user left behind, a few at a time.

    Only a file that nobody holds a lock on, whose process is gone, is taken. The agent sweeps too; this is for
    machines where none runs.
    """
    looked_at = 0
    for name in os.listdir(folder):
        parts = name.lstrip(".").split("-")
        if not name.endswith(".seg") or len(parts) != 3 or not parts[1].isdigit():
            continue
        looked_at += 1
        if looked_at > DEAD_SEGMENTS_LOOKED_AT:
            return
        if os.path.exists("/proc/" + parts[1]):
            continue  # alive, or its pid is somebody else's by now: the agent will tell
        try:
            if time() - os.stat(os.path.join(folder, name)).st_ctime < YOUNG_SECONDS:
                continue  # it may be in the making
            _remove_if_unlocked(os.path.join(folder, name))
        except OSError:
            continue


def _remove_if_unlocked(path: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails for one that lives in another pid namespace
            os.unlink(path)
    finally:
        os.close(fd)
