"""
This process's own memory as a file, read without touching what lies in it.

A read of /proc/self/mem copies: no reference is taken, so nothing is kept alive and no page is unshared from a
forked sibling; and where memory has gone meanwhile it is an error and not the end of the service. Only pages that
are present are read, as /proc/self/pagemap tells, so that nothing is brought back from swap. Both files are open
while somebody looks, never at rest.

Only the kernel's plain file calls are used: a filter of system calls that ends a process for an unusual one, as
systemd has them, lets these pass.
"""

from __future__ import annotations

import os

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
        try:
            self._contents = self._open("/proc/self/mem")
            self._pages = self._open("/proc/self/pagemap")
        except BaseException:
            self.close()
            raise

    def _open(self, path: str) -> int:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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

    def pages(self, start: int, count: int) -> tuple[bytes, int]:
        """For each of `count` pages from address `start` whether it is present, and how many are swapped out."""
        flags = os.pread(self._pages, count * 8, start // PAGE * 8)[7::8]
        return flags.translate(_PRESENT), sum(flags.translate(_SWAPPED))

    def read(self, start: int, length: int) -> bytes:
        """What lies there; less where some of it is gone, and nothing where all of it is."""
        try:
            return os.pread(self._contents, length, start)
        except OSError:
            return b""


def resident_bytes() -> int:
    """How much private memory this process has in RAM."""
    found = {}
    with open("/proc/self/status", "rb") as file:
        for line in file:
            name, _, value = line.partition(b":")
            if name in (b"RssAnon", b"VmRSS"):
                found[name] = int(value.split()[0]) * 1024
    return found[b"RssAnon" if b"RssAnon" in found else b"VmRSS"]


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
