"""
Writes a segment: creates the file, holds its lock, and stores records the way `layout` says.

A store into a mapped page of a disk's file can wait until the disk has written that page back, and stores are made
in the service's loop. So only a file in memory is mapped; what lies on a disk is a copy that the watchdog writes,
without the interpreter's lock, whenever it has looked at the loops.

The space is allocated before it is mapped, so a full folder is an error here and not a SIGBUS later. The file is
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
from time import monotonic, time

from . import layout
from .lifecycle import sleep
from .sweep import sweep

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

IN_MEMORY = (b"tmpfs", b"ramfs")
COPY_ATTEMPTS = 3
RENEWALS = 8
"""How often a process makes a new segment in place of one that was deleted: each keeps the mapping before it."""


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
    somebody_elses = found.st_uid not in (os.geteuid(), 0)
    if in_shared_memory and (somebody_elses or not os.path.isdir(path) or os.path.islink(path)):
        raise PermissionError("%s belongs to uid %d" % (path, found.st_uid))


def start_ticks() -> float:
    """When this process started, as the kernel counts it."""
    with open("/proc/self/stat", "rb") as file:
        return float(file.read().rsplit(b")", 1)[1].split()[19])


def in_memory(folder: str) -> bool:
    """Whether files of this folder lie in memory, as far as the kernel tells."""
    device = os.stat(folder).st_dev
    number = b"%d:%d" % (os.major(device), os.minor(device))
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            mount, _, filesystem = line.partition(b" - ")
            if mount.split()[2] == number:
                return filesystem.split()[0] in IN_MEMORY
    return False


class Segment:
    """One segment of this process, open for writing."""

    def __init__(self, stall_threshold_seconds: float, memray: str = "") -> None:
        self._folder = segment_directory()
        self._pid = os.getpid()
        self._sequences: dict[int, float] = {}
        self._packers: dict[int, struct.Struct] = {}
        self._attic: list[mmap.mmap] = []
        """Mappings of deleted files: closing one would close a descriptor that may not be ours any more."""
        self.off = self._removed = False
        ensure_directory(self._folder)
        sweep(self._folder)
        self.mapped = in_memory(self._folder)
        """Whether a store is seen at once, and nothing has to be copied."""
        self._begin(lambda: self._write_header(stall_threshold_seconds, memray))

    def _begin(self, fill: Callable[[], None]) -> None:
        """Make a file, `fill` it, and write into it from now on."""
        file = _File(self._folder, self._pid)
        try:
            self._map = _map(file.fd) if self.mapped else mmap.mmap(-1, layout.SIZE)
            self.words: Any = memoryview(self._map).cast("d")
            fill()
            file.publish(None if self.mapped else self._map)
        except BaseException:
            file.discard()
            raise
        self.path, self._fd, self._stat = file.path, file.fd, file.stat

    def _write_header(self, stall_threshold_seconds: float, memray: str) -> None:
        nan = float("nan")
        rows = (
            *(layout.LOOP, layout.CURRENT_STALL, layout.RECENT_STALL, layout.ERROR, layout.POOL),
            *(layout.RESOURCE, layout.SPACE),
        )
        for record in (layout.PROCESS, *(record for row in rows for record in row)):
            self.put(record, [nan] * len(record.fields))
        version = "%d.%d.%d" % sys.version_info[:3]
        target = " ".join(os.environ.get("VITALSD_TARGET", "").split())
        text = "python\n%s\n%s\n%s" % (version, target, memray)
        header = (float(os.getpid()), float(os.geteuid()), start_ticks(), time(), stall_threshold_seconds)
        self.put(layout.HEADER, header, text.encode("utf-8", "replace"))
        struct.pack_into("<8sdd", self._map, 0, layout.MAGIC, float(layout.VERSION), float(layout.SIZE))

    def put(self, record: layout.Record, values: Sequence[float], text: bytes = b"") -> None:
        """Store one record whole. Each record has one writer at a time, and none once the probe is off."""
        if not self.off:
            self._store(record, values, text)

    def _store(self, record: layout.Record, values: Sequence[float], text: bytes) -> None:
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

    def tell(self, values: Sequence[float], text: str) -> None:
        """Store the process record."""
        self.put(layout.PROCESS, values, text.encode("utf-8", "replace"))

    def turn_off(self, problem: str) -> None:
        """Say why the probe is off, as the last word; again when those in the middle of a store are through."""
        self.off = True
        self.words[layout.SINCE : layout.DUE + layout.LOOPS] = memoryview(bytes(16 * layout.LOOPS)).cast("d")
        unknown = [float("nan")] * len(layout.PROCESS_FIELDS)
        self._store(layout.PROCESS, unknown, (layout.OFF + problem).encode("utf-8", "replace"))

    def copy_to_disk(self) -> None:
        """Bring a file that is not in memory up to date; by the watchdog, never in the service's own threads."""
        if self.mapped or not _is_file(self._fd, self._stat):
            return
        for _ in range(COPY_ATTEMPTS):
            if not any(self.words[record.offset] % 2 for record in layout.LOOP):
                break
            sleep(0.001)  # the loop is in the middle of a record
        self.words[layout.COPIED] = monotonic()
        os.pwrite(self._fd, bytes(self._map), 0)

    def keep_lock(self) -> None:
        """Take the lock again where the service closed our descriptor under us, or the one that `mmap` keeps."""
        if _is_file(self._fd, self._stat):
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nothing to do where it is still held
            return
        fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not _is_file(fd, self._stat):
            os.close(fd)
            raise FileNotFoundError(self.path)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._fd = fd

    def renew(self) -> bool:
        """
        Go on in a new file where somebody has deleted this one, such as a logout that cleans shared memory up.

        Every loop must then be measured anew: its hook still writes to the old mapping.
        """
        final = self.off or self._removed or len(self._attic) == RENEWALS
        if final or _links(self._fd, self._stat) != 0:
            return False
        ensure_directory(self._folder)
        old, fd = self._map, self._fd
        self._attic.append(old)
        self._begin(lambda: self._fill(old[:]))
        os.close(fd)
        return True

    def _fill(self, content: bytes) -> None:
        self._map[:] = content

    def remove(self) -> None:
        """Take the file away at the end of the process that made it."""
        self._removed = True
        if os.getpid() == self._pid:
            try:
                os.unlink(self.path)
            except OSError:
                pass

    def forget_in_child(self) -> None:
        """After a fork: the mapping is the parent's, this process only lets go of the descriptor."""
        if _is_file(self._fd, self._stat):
            os.close(self._fd)


class _File:
    """A new file of the right size with a lock on it, under a name that nobody reads until it is published."""

    def __init__(self, folder: str, pid: int) -> None:
        name = "python-%d-%s.seg" % (pid, os.urandom(4).hex())
        self.path = os.path.join(folder, name)
        self._aside = os.path.join(folder, "." + name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.fd = os.open(self._aside, flags, 0o600)
        try:
            os.posix_fallocate(self.fd, 0, layout.SIZE)
            fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.stat = os.fstat(self.fd)
        except BaseException:
            self.discard()
            raise

    def publish(self, content: Any) -> None:
        """Give the file its name, after this content unless it is mapped."""
        if content is not None:
            os.pwrite(self.fd, content, 0)
        os.rename(self._aside, self.path)

    def discard(self) -> None:
        """Take it away again."""
        os.close(self.fd)
        os.unlink(self._aside)


def _map(fd: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        return mmap.mmap(fd, layout.SIZE, trackfd=False)
    return mmap.mmap(fd, layout.SIZE)


def _is_file(fd: int, stat: os.stat_result) -> bool:
    return _links(fd, stat) >= 0


def _links(fd: int, stat: os.stat_result) -> int:
    """How many names this file has; -1 where the number is not its descriptor."""
    try:
        found = os.fstat(fd)
    except OSError:
        return -1
    return found.st_nlink if found.st_ino == stat.st_ino and found.st_dev == stat.st_dev else -1
