"""
How much the heap holds: what Python's small-object allocator has handed out, and what malloc has.

The interpreter's own statistics walk every pool (0.3 to 2 ms per 340 MB, holding the GIL) and malloc's walk its
free lists, so both are read at most every ten seconds, and less often the longer they take, so that neither ever
costs more than a two-thousandth of the time. One that takes 5 ms three times in a row, or 20 ms once, is given up:
what it told is then left out, because so large a heap is not measured without holding the service up. Where all of
a life counts, it is read twice a second and may cost ten times as much.

All of it is judged by processor time: on a busy process a reading also waits for the interpreter lock, which harms
nobody.
"""

from __future__ import annotations

import re
import sys
from time import monotonic, thread_time

from .lifecycle import WHOLE_LIFE
from .native import LIBC, PYTHON, ctypes

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from typing import Any

INTERVAL_SECONDS = 0.5 if WHOLE_LIFE else 10.0
DEAR_SECONDS = 0.005
"""What takes more CPU time than this again and again is not read any more: it would be a stall of our making."""
DEAR_IN_A_ROW = 3
"""One may be the host's noise: cold caches, a processor that was taken away."""
LAST_SECONDS = 0.02
"""No noise is worth a second reading like this."""
MINIMUM_REST = 200 if WHOLE_LIFE else 2000
"""A reading that took t is not repeated within this many t."""
UNKNOWN = float("nan")
NOTHING = (UNKNOWN,) * 6
"""What `Heap.read` tells where it cannot be asked."""
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
    """Readings of this process's heap, by the watchdog."""

    def __init__(self) -> None:
        self._used = self._live = (UNKNOWN, UNKNOWN)
        self._malloc = (UNKNOWN, UNKNOWN)
        self._next_read = self._next_live = 0.0
        self._collected = False
        self._mallinfo = Reading(_mallinfo_reader(LIBC))
        self._small_objects = Reading(_small_object_reader(LIBC))
        self._allocated_blocks = Reading(sys.getallocatedblocks)

    def after_full_collection(self) -> None:
        """What is in use from now on is alive. It is read within four seconds, not here in the loop."""
        self._collected = True

    def read(self) -> tuple[float, ...]:
        """The fields of the segment's process record, refreshed if due, or if a full collection makes them so."""
        began = monotonic()
        if began >= self._next_read or (self._collected and began >= self._next_live):
            self._refresh(began)
        (used, blocks), (live, live_blocks) = self._used, self._live
        return (used, live, blocks, live_blocks, *self._malloc)

    def _refresh(self, now: float) -> None:
        began = thread_time()
        malloc_used = self._read_malloc()
        blocks, small = self._read_blocks()
        self._used = (small + malloc_used, blocks)
        self._next_read = now + max(INTERVAL_SECONDS, (thread_time() - began) * MINIMUM_REST)
        if self._collected:
            self._live, self._collected = self._used, False
            self._next_live = self._next_read

    def _read_malloc(self) -> float:
        info = self._mallinfo()
        if info is None:
            self._malloc = (UNKNOWN, UNKNOWN)
        else:
            self._malloc = (float(info.uordblks + info.hblkhd), float(info.arena + info.hblkhd))
        return self._malloc[0]

    def _read_blocks(self) -> tuple[float, float]:
        blocks, small = self._allocated_blocks(), self._small_objects()
        return (
            float(blocks) if blocks is not None else UNKNOWN,
            float(small) if small is not None else UNKNOWN,
        )


class Reading:
    """One reading that walks memory, until it has proved too dear; where there is none, it tells None."""

    def __init__(self, read: Any) -> None:
        self._read = read
        self._dear = 0

    def __call__(self) -> Any:
        """What it tells."""
        if self._read is None:
            return None
        began = thread_time()
        value = self._read()
        took = thread_time() - began
        self._dear = self._dear + 1 if took > DEAR_SECONDS else 0
        if self._dear == DEAR_IN_A_ROW or took > LAST_SECONDS:
            self._read = None
        return value


def _mallinfo_reader(libc: Any) -> Any:
    """A function that tells malloc's own statistics, or None without mallinfo2 (glibc < 2.33, musl)."""
    read = getattr(libc, "mallinfo2", None)
    # Not `malloc` itself, which an interpreter that is no PIE shows as its own.
    if read is not None and _object_of(libc, read) != _object_of(libc, libc.malloc_usable_size):
        return None  # another allocator is loaded in front: glibc's statistics are those of an unused heap
    if read is not None:
        fields = [(name, ctypes.c_size_t) for name in MALLINFO2]
        read.restype = type("MallInfo", (ctypes.Structure,), {"_fields_": fields})
    return read


def _object_of(libc: Any, function: Any) -> bytes | None:
    """The shared object that a function lies in."""
    information = (ctypes.c_char_p * 4)()  # Dl_info: file name, base, symbol, address
    if not libc.dladdr(ctypes.cast(function, ctypes.c_void_p), ctypes.byref(information)):
        return None
    return information[0]


def _small_object_reader(libc: Any) -> Any:
    """A function that tells the bytes pymalloc has handed out, or None where this build cannot tell."""
    if libc is None or sys.getallocatedblocks() == 0:
        return None
    statistics = getattr(PYTHON, "_PyObject_DebugMallocStats", None)
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
