"""
What an agent need not pay for once it has started. Costs 25 ms, once.

Its modules and what they define live as long as it does, so they are taken out of further collections: a full one
took 24 ms, once a minute.

Pages of files, of code most of all, that only start-up has needed are given back, 6 to 8 MiB of resident memory.
The kernel maps sixteen pages of a file for each one that is needed, and importing touches most of a library once.
Pages of code that nobody has written to lie in the file, so they are taken away without a loss, and come back, a
microsecond each, where they are run again.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterable
from pathlib import Path

__all__ = ["file_mappings", "give_back", "settle_objects", "share_arena"]

MADV_DONTNEED = 4
M_ARENA_MAX = -8
CLEAN = ("r-xp", "r--p")
"""Code, and what goes with it: private, and nobody may write to it."""


def share_arena() -> None:
    """Have all threads allocate of one arena: each of its own would keep some of what it once had."""
    with contextlib.suppress(OSError, AttributeError):  # not the GNU C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def settle_objects() -> None:
    """Have what there is now, garbage aside, looked through no more."""
    gc.collect()
    gc.freeze()


def give_back() -> int:
    """Do so; the answer is how many mappings were asked for. Where it cannot be done, nothing is lost."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        advise, lines = library.madvise, Path("/proc/self/smaps").read_text().splitlines()
    except (OSError, AttributeError):
        return 0
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    given: int = sum(advise(start, end - start, MADV_DONTNEED) == 0 for start, end in file_mappings(lines))
    with contextlib.suppress(AttributeError):
        library.malloc_trim(0)
    return given


def file_mappings(smaps: Iterable[str]) -> list[tuple[int, int]]:
    """Where files are mapped, privately, that nobody has written to: a debugger leaves pages of its own."""
    found: list[tuple[int, int]] = []
    here: tuple[int, int] | None = None
    for line in smaps:
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            fields = line.split(None, 5)
            start, _, end = fields[0].partition("-")
            is_clean = fields[1] in CLEAN and len(fields) == 6 and fields[5].startswith("/")
            here = (int(start, 16), int(end, 16)) if is_clean else None
            if here is not None:
                found.append(here)
        elif name in ("Anonymous:", "Private_Dirty:") and rest.split()[0] != "0" and here in found:
            found.remove(here)
    return found
