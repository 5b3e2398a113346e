"""
How much the heap holds: what Python's small-object allocator has handed out, and what malloc has.

The interpreter's own statistics walk every pool (0.3 to 2 ms per 340 MB, holding the GIL) and malloc's walk its
free lists, so both are read at most every ten seconds, and less often the longer they take, so that neither ever
costs more than a two-thousandth of the time.
"""

from __future__ import annotations

import re
import sys
from time import monotonic

try:
    import ctypes
except ImportError:  # a build of Python without libffi: what it tells is left out
    ctypes = None  # type: ignore[assignment]

HAVE_CTYPES = bool(ctypes)

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from typing import Any

INTERVAL_SECONDS = 10.0
MINIMUM_REST = 2000
"""A reading that took t is not repeated within this many t."""
UNKNOWN = float("nan")
BYTES_IN_USE = re.compile(rb"# bytes in allocated blocks\s*=\s*([\d,]+)")


MALLINFO2 = (
    "arena",
    "ordblks",
    "smblks",
    "hblks",
    "hblkhd",
    "usmblks",
    "fsmblks",
    "uordblks",
    "fordblks",
    "keepcost",
)
"""The fields of glibc's struct mallinfo2, each a size_t."""


class Heap:
    """Readings of this process's heap."""

    def __init__(self) -> None:
        self.used_bytes = self.live_bytes = UNKNOWN
        self.blocks = self.live_blocks = UNKNOWN
        self.malloc_used = self.malloc_held = UNKNOWN
        self._next_read = self._next_live = 0.0
        libc = ctypes.CDLL(None) if HAVE_CTYPES else None
        self._mallinfo = _mallinfo_reader(libc)
        self._small_objects = _small_object_reader(libc)

    def read(self) -> None:
        """Refresh everything that is due."""
        began = monotonic()
        if began < self._next_read:
            return
        self._read_malloc()
        self.blocks, small = self._read_blocks()
        self.used_bytes = small + self.malloc_used
        ended = monotonic()
        self._next_read = ended + max(INTERVAL_SECONDS, (ended - began) * MINIMUM_REST)

    def after_full_collection(self) -> None:
        """What is in use now is alive: nothing is waiting to be collected."""
        began = monotonic()
        if began < self._next_live:
            return
        self._read_malloc()
        self.live_blocks, small = self._read_blocks()
        self.live_bytes = small + self.malloc_used
        ended = monotonic()
        self._next_live = ended + max(INTERVAL_SECONDS, (ended - began) * MINIMUM_REST)

    def _read_malloc(self) -> None:
        if self._mallinfo is not None:
            info = self._mallinfo()
            self.malloc_used = float(info.uordblks + info.hblkhd)
            self.malloc_held = float(info.arena + info.hblkhd)

    def _read_blocks(self) -> tuple[float, float]:
        blocks = float(sys.getallocatedblocks())
        return blocks, float(self._small_objects()) if self._small_objects is not None else UNKNOWN


def _mallinfo_reader(libc: Any) -> Any:
    """A function that tells malloc's own statistics, or None without mallinfo2 (glibc < 2.33, musl)."""
    read = getattr(libc, "mallinfo2", None)
    if read is not None:
        fields = [(name, ctypes.c_size_t) for name in MALLINFO2]
        read.restype = type("MallInfo", (ctypes.Structure,), {"_fields_": fields})
    return read


def _small_object_reader(libc: Any) -> Any:
    """A function that tells the bytes pymalloc has handed out, or None where this build cannot tell."""
    if libc is None or sys.getallocatedblocks() == 0:
        return None
    statistics = getattr(ctypes.pythonapi, "_PyObject_DebugMallocStats", None)
    if statistics is None:
        return None
    statistics.argtypes = [ctypes.c_void_p]
    statistics.restype = ctypes.c_int
    libc.open_memstream.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    libc.open_memstream.restype = ctypes.c_void_p
    libc.fclose.argtypes = [ctypes.c_void_p]
    libc.free.argtypes = [ctypes.c_void_p]

    def read() -> float:
        text, size = ctypes.c_void_p(), ctypes.c_size_t()
        stream = libc.open_memstream(ctypes.byref(text), ctypes.byref(size))
        if not stream:
            return UNKNOWN
        try:
            statistics(stream)
        finally:
            libc.fclose(stream)
        try:
            found = BYTES_IN_USE.search(ctypes.string_at(text.value or 0, size.value))
        finally:
            libc.free(text)
        return float(found.group(1).replace(b",", b"")) if found else UNKNOWN

    return read
