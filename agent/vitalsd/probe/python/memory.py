"""
This process's own memory, copied without touching what lies in it.

No reference is taken, so nothing is kept alive and no page is unshared from a forked sibling; and where memory has
gone meanwhile it is an error and not the end of the service. /proc/self/mem is read, and only pages that are
present, as /proc/self/pagemap tells, so that nothing is brought back from swap. A process that has changed its
user may not open these two. It has the kernel copy its memory into a pipe instead, if nothing of it is in swap;
pages that it has never used are then read too, as zeros that cost nothing.

Two descriptors while somebody looks, none at rest. Only the plainest system calls are used: a filter that ends a
process for an unusual one, as systemd has them, lets these pass.
"""

from __future__ import annotations

import os

from .native import HAVE_CTYPES, ctypes
from .protocol import Refused

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = os.sysconf("SC_PAGE_SIZE")
PRESENT, SWAPPED = 0x80, 0x40
"""Of the highest byte of a page's entry."""
_PRESENT = bytes(1 if byte & PRESENT else 0 for byte in range(256))
_SWAPPED = bytes(1 if byte & SWAPPED and not byte & PRESENT else 0 for byte in range(256))


class Memory:
    """The private memory of this process."""

    def __init__(self) -> None:
        self._files: list[tuple[int, os.stat_result]] = []
        self._contents = self._pages = self._pipe = -1
        try:
            try:
                self._contents = self._open("/proc/self/mem")
                self._pages = self._open("/proc/self/pagemap")
            except PermissionError:
                self.close()
                self._open_pipe()
        except BaseException:
            self.close()
            raise

    def _open(self, path: str) -> int:
        return self._keep(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def _open_pipe(self) -> None:
        if not HAVE_CTYPES or status_bytes(b"VmSwap"):
            raise Refused("a process that has changed its user may not read its own memory, and it is in swap")
        self._contents, self._pipe = map(self._keep, os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))
        self._pages = -1

    def _keep(self, descriptor: int) -> int:
        self._files.append((descriptor, os.fstat(descriptor)))
        return descriptor

    def close(self) -> None:
        """Let go of both files, unless the service has closed them and their numbers are somebody else's."""
        while self._files:
            descriptor, stat = self._files.pop()
            try:
                if os.path.samestat(os.fstat(descriptor), stat):
                    os.close(descriptor)
            except OSError:
                pass

    def extent_bytes(self) -> int:
        """How much there is to look at."""
        if self._pipe < 0:
            return status_bytes(b"RssAnon") or status_bytes(b"VmRSS")
        return sum(end - start for start, end in private_ranges())

    def pages(self, start: int, count: int) -> tuple[bytes, int]:
        """For each of `count` pages from address `start` whether it is present, and how many are swapped out."""
        if self._pages < 0:
            return b"\x01" * count, 0
        flags = os.pread(self._pages, count * 8, start // PAGE * 8)[7::8]
        return flags.translate(_PRESENT), sum(flags.translate(_SWAPPED))

    def read(self, start: int, length: int) -> bytes:
        """What lies there; less where some of it is gone, and nothing where all of it is."""
        try:
            if self._pipe < 0:
                return os.pread(self._contents, length, start)
            return os.read(self._contents, os.write(self._pipe, (ctypes.c_char * length).from_address(start)))
        except OSError:
            return b""

    def copy(self, start: int, into: memoryview) -> int:
        """Copy what lies there; how much of it there was."""
        try:
            if self._pipe < 0:
                return os.preadv(self._contents, [into], start)
            os.write(self._pipe, (ctypes.c_char * len(into)).from_address(start))
            return os.readv(self._contents, [into])
        except OSError:
            return 0


def status_bytes(name: bytes) -> int:
    """A number of bytes in /proc/self/status; 0 where it has none of this name."""
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(name + b":"):
                return int(line.split()[1]) * 1024
    return 0


def private_ranges() -> Iterator[tuple[int, int]]:
    """Begin and end of each mapping that objects may lie in: writable, private, of no file."""
    with open("/proc/self/maps", "rb") as file:
        lines = file.readlines()
    for line in lines:
        fields = line.split(None, 5)
        name = fields[5].strip() if len(fields) > 5 else b""
        ours = fields[1].startswith(b"rw") and fields[1].endswith(b"p") and fields[4] == b"0"
        if ours and (not name or name == b"[heap]" or name.startswith(b"[anon")):
            start, _, end = fields[0].partition(b"-")
            yield int(start, 16), int(end, 16)
