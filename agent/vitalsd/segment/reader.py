"""
Reads one segment: any bytes in, never an exception or a wrong number out.

The file is read and not mapped: a mapping that its owner cuts short would end the agent by SIGBUS. So what costs
is the number of reads, about 0.6 us each whatever they bring, and what changes all the time is read at once. What
fails its checksum, or does not make sense, counts as not known.

Which process it belongs to is asked of the kernel, not of the file: the probe holds a record lock, and F_GETLK
answers with the holder's pid in our own pid namespace.
"""

from __future__ import annotations

import functools
import math
import os
import re
import stat
import struct
from binascii import crc32
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vitalsd.errors import VitalsdError
from vitalsd.locks import lock_holder
from vitalsd.probe.python import layout

__all__ = ["LIVE_AT", "LIVE_BYTES", "Header", "RawRecord", "Reading", "SegmentError", "SegmentFile"]

READ_ATTEMPTS = 4
WORD = struct.Struct("<d")
LIVE = struct.Struct(f"<{2 * layout.LOOPS}d")
LIVE_AT, LIVE_BYTES = layout.SINCE * 8, LIVE.size
HEAD_BYTES = 16
"""Sequence and checksum of a record: another content has another head."""
PREFIX = struct.Struct("<8sdd")
RUNTIME, VERSION = re.compile("[a-z]{1,16}"), re.compile(r"[0-9A-Za-z.+_-]{1,64}")
"""Both are labels of metrics, and told as they stand there."""
T = TypeVar("T")


class SegmentError(VitalsdError):
    """A file that is not a segment this agent can read."""


class RawRecord(msgspec.Struct, frozen=True):
    """One record as it was written: its values in the order of the layout's fields, and its text."""

    record: layout.Record
    values: tuple[float, ...]
    text: str

    @property
    def fields(self) -> dict[str, float]:
        """The values by name."""
        return dict(zip(self.record.fields, self.values, strict=True))


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
    memray: str = ""
    """How the process can have memray, by a word of the probe's; nothing where it cannot."""


class Reading(msgspec.Struct, frozen=True):
    """
    The words from `first` on, read twice in a row.

    What is alike in both readings was there, all of it together, in the moment between them. What differs was
    being written, and is not known.
    """

    first: int
    before: bytes
    after: bytes

    def word(self, index: int) -> float | None:
        """One live word; 0.0 when it is not a number, None when it was being written."""
        at = (index - self.first) * 8
        if self.before[at : at + 8] != self.after[at : at + 8]:
            return None
        (value,) = WORD.unpack_from(self.before, at)
        return value if math.isfinite(value) else 0.0

    def record(self, record: layout.Record) -> RawRecord | None:
        """One whole record; None when it was being written, or is damaged."""
        at = (record.offset - self.first) * 8
        whole = self.before[at : at + record.words * 8]
        if whole != self.after[at : at + record.words * 8]:
            return None
        numbers = _numbers(len(record.fields)).unpack_from(whole)
        sequence, checksum, length = numbers[0], numbers[1], numbers[-1]
        if sequence % 2 != 0 or not 0 <= length <= record.text_bytes:
            return None
        text_at = len(numbers) * 8
        end = text_at + int(length)
        if crc32(whole[HEAD_BYTES:end]) != checksum:
            return None
        return RawRecord(record, numbers[2:-1], whole[text_at:end].decode("utf-8", "replace"))


@functools.cache
def _numbers(fields: int) -> struct.Struct:
    """What a record begins with: its head, this many fields, and the length of its text."""
    return struct.Struct(f"<{2 + fields + 1}d")


@functools.cache
def _heads(records: int, words: int) -> struct.Struct:
    """The heads of this many records of this size, up to the end of the last one's head."""
    rest = words * 8 - HEAD_BYTES
    return struct.Struct("<" + f"{rest}x".join([f"{HEAD_BYTES}s"] * records))


class SegmentFile:
    """One segment, open for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._remembered: dict[int, tuple[Any, Any]] = {}
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
        numbers = record.values
        lines = record.text.split("\n")
        named = 3 <= len(lines) <= 4 and RUNTIME.fullmatch(lines[0]) and VERSION.fullmatch(lines[1])
        if not named or not all(math.isfinite(n) and 0 <= n < 2**53 for n in numbers):
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
            memray=lines[3] if len(lines) > 3 else "",
        )

    def look(self, first: int, end: int) -> Reading:
        """The words from `first` to before `end`."""
        start, size = first * 8, (end - first) * 8
        return Reading(first, self._pread(start, size), self._pread(start, size))

    @property
    def descriptor(self) -> int:
        """To read LIVE_BYTES of, while the file is open."""
        return self._fd

    @staticmethod
    def live_words(read: bytes) -> tuple[float, ...]:
        """`since` and then `due` of every loop, as one reading has them: some may be between two moments."""
        return LIVE.unpack(read.ljust(LIVE_BYTES, b"\0"))

    def look_again(self, reading: Reading) -> Reading:
        """The same words a moment later."""
        return Reading(reading.first, reading.after, self._pread(reading.first * 8, len(reading.after)))

    def read(self, record: layout.Record) -> RawRecord | None:
        """One whole record, or None when it is being written all the time or damaged."""
        reading = self.look(record.offset, record.end)
        for _ in range(READ_ATTEMPTS):
            found = reading.record(record)
            if found is not None:
                return found
            reading = self.look_again(reading)
        return None

    def read_row(self, row: tuple[layout.Record, ...], decode: Callable[[RawRecord], T]) -> list[T]:
        """
        What `decode` makes of each record of a row that is whole.

        What it made of a record is remembered until that is written again, since few are and their texts are long.
        """
        heads = _heads(len(row), row[0].words)
        found: list[T] = []
        for record, head in zip(row, heads.unpack(self._pread(row[0].offset * 8, heads.size)), strict=True):
            known = self._remembered.get(record.offset)
            if known is None or known[0] != head:
                raw = self.read(record)
                if raw is None:
                    continue
                known = self._remembered[record.offset] = head, decode(raw)
            found.append(known[1])
        return found

    def remember(self, place: int, values: tuple[float, ...], decode: Callable[[tuple[float, ...]], T]) -> T:
        """What `decode` makes of these, or made of the same: most readings find what the one before did."""
        known = self._remembered.get(place)
        if known is None or known[0] != values:
            known = self._remembered[place] = values, decode(values)
        found: T = known[1]
        return found

    def holder(self) -> int | None:
        """The pid, in our own namespace, of the process that holds the lock; None when nobody else does."""
        return lock_holder(self._fd)

    def close(self) -> None:
        """Let go of the file; from then on everything in it is unknown."""
        descriptor, self._fd = self._fd, -1
        if descriptor >= 0:
            os.close(descriptor)
