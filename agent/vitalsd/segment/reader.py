"""
Reads one segment: any bytes in, never an exception or a wrong number out.

A record costs about 8 us, a full reading about 60 us. The file is read and not mapped: a mapping that its owner
cuts short would end the agent by SIGBUS. What fails its checksum, or does not make sense, counts as not known.

Which process it belongs to is asked of the kernel, not of the file: the probe holds a record lock, and F_GETLK
answers with the holder's pid in our own pid namespace.
"""

from __future__ import annotations

import fcntl
import math
import os
import stat
import struct
from binascii import crc32
from pathlib import Path

import msgspec

from vitalsd.errors import VitalsdError
from vitalsd.probe.python import layout

__all__ = ["Header", "RawRecord", "SegmentError", "SegmentFile"]

READ_ATTEMPTS = 4
HELD_OUT_OF_SIGHT = 0
"""What the kernel calls a holder in a pid namespace that is not ours."""
WORD = struct.Struct("<d")
PAIR = struct.Struct("<dd")
PREFIX = struct.Struct("<8sdd")
MAX_TEXT_BYTES = layout.STACK_BYTES
LOCK = struct.Struct("hhqqi")
"""struct flock of 64-bit Linux: type, whence, start, length, pid."""


class SegmentError(VitalsdError):
    """A file that is not a segment this agent can read."""


class RawRecord(msgspec.Struct, frozen=True):
    """One record as it was written: field values by name, and its text."""

    fields: dict[str, float]
    text: str


class Header(msgspec.Struct, frozen=True):
    """Who wrote a segment, as the writer has it in its own namespaces."""

    pid: int
    uid: int
    start_ticks: int
    created_at: float
    stall_threshold_seconds: float
    runtime: str
    version: str
    target: str


class SegmentFile:
    """One segment, open for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except PermissionError as error:
            raise SegmentError(
                f"{path} may not be read: run the agent as the service's user, or as root"
            ) from error
        except OSError as error:
            raise SegmentError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            self._check()
            self.header = self._read_header()
        except BaseException:
            os.close(self._fd)
            raise

    def _check(self) -> None:
        found = os.fstat(self._fd)
        self.owner_uid = found.st_uid
        if not stat.S_ISREG(found.st_mode):
            raise SegmentError(f"{self.path} is not a file")
        if found.st_size != layout.SIZE:
            raise SegmentError(
                f"{self.path} has {found.st_size} bytes, this agent's segments have {layout.SIZE}: "
                "install the probe of this vitalsd version in the service"
            )
        magic, version, size = PREFIX.unpack(self._pread(0, PREFIX.size))
        if magic != layout.MAGIC:
            raise SegmentError(f"{self.path} is not a segment")
        if version != layout.VERSION or size != layout.SIZE:
            raise SegmentError(
                f"{self.path} has layout version {version:g}, this agent reads {layout.VERSION}: "
                "install the probe of this vitalsd version in the service"
            )

    def _pread(self, offset: int, size: int) -> bytes:
        """These bytes; zeros where the file has been cut short, which no checksum accepts."""
        return os.pread(self._fd, size, offset).ljust(size, b"\0") if self._fd >= 0 else bytes(size)

    def _read_header(self) -> Header:
        record = self.read(layout.HEADER)
        if record is None:
            raise SegmentError(f"{self.path} has a damaged header")
        fields = record.fields
        numbers = [fields[name] for name in layout.HEADER_FIELDS]
        lines = record.text.split("\n")
        if len(lines) != 3 or not all(math.isfinite(n) and 0 <= n < 2**53 for n in numbers):
            raise SegmentError(f"{self.path} has a header that makes no sense")
        return Header(
            pid=int(numbers[0]),
            uid=int(numbers[1]),
            start_ticks=int(numbers[2]),
            created_at=numbers[3],
            stall_threshold_seconds=numbers[4],
            runtime=lines[0],
            version=lines[1],
            target=lines[2],
        )

    def word(self, index: int) -> float:
        """One live word; 0.0 when it is not a number."""
        (value,) = WORD.unpack(self._pread(index * 8, 8))
        return value if math.isfinite(value) else 0.0

    def field(self, record: layout.Record, name: str) -> float:
        """One field without the checks of `read`: good enough to tell whether reading is worth it."""
        return self.word(record.offset + 2 + record.fields.index(name))

    def read(self, record: layout.Record) -> RawRecord | None:
        """One whole record, or None when it is being written all the time or damaged."""
        start, size = record.offset * 8, record.words * 8
        fields_size = 8 * (len(record.fields) + 1)
        for _ in range(READ_ATTEMPTS):
            whole = self._pread(start, size)
            before, checksum = PAIR.unpack_from(whole)
            (after,) = WORD.unpack(self._pread(start, 8))
            if before != after or before % 2 != 0:
                continue
            body = whole[16:]
            (length,) = struct.unpack_from("<d", body, fields_size - 8)
            if not 0 <= length <= min(record.text_bytes, MAX_TEXT_BYTES):
                continue
            end = fields_size + int(length)
            if crc32(body[:end]) != checksum:
                continue
            values = struct.unpack_from(f"<{len(record.fields)}d", body, 0)
            text = body[fields_size:end].decode("utf-8", "replace")
            return RawRecord(dict(zip(record.fields, values, strict=True)), text)
        return None

    def holder(self) -> int | None:
        """The pid, in our own namespace, of the process that holds the lock; None when nobody else does."""
        question = LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        try:
            answer = LOCK.unpack(fcntl.fcntl(self._fd, fcntl.F_GETLK, question)[: LOCK.size])
        except OSError:
            return None
        return max(answer[4], HELD_OUT_OF_SIGHT) if answer[0] != fcntl.F_UNLCK else None

    def close(self) -> None:
        """Let go of the file; from then on everything in it is unknown."""
        descriptor, self._fd = self._fd, -1
        if descriptor >= 0:
            os.close(descriptor)
