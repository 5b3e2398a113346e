"""
What an agent need not pay for once it has started. Costs 25 ms, once.

Its modules and what they define live as long as it does, so they are taken out of further collections: a full one
took 24 ms, once a minute.

Pages of code that only start-up has run are given back, 4 to 5 MiB of resident memory. The kernel maps sixteen
pages of a file for each one that is needed, and importing touches most of a library once. Pages of code that
nobody has written to lie in the file, so they are taken away without a loss, and come back, a microsecond each,
where they are run again.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterable
from pathlib import Path

__all__ = ["code_mappings", "give_back_code", "settle_objects"]

MADV_DONTNEED = 4


def settle_objects() -> None:
    """Have what there is now, garbage aside, looked through no more."""
    gc.collect()
    gc.freeze()


def give_back_code() -> int:
    """Do so; the answer is how many mappings were asked for. Where it cannot be done, nothing is lost."""
    try:
        advise = ctypes.CDLL(None, use_errno=True).madvise
        lines = Path("/proc/self/smaps").read_text().splitlines()
    except (OSError, AttributeError):
        return 0
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return sum(advise(start, end - start, MADV_DONTNEED) == 0 for start, end in code_mappings(lines))


def code_mappings(smaps: Iterable[str]) -> list[tuple[int, int]]:
    """Where code of files is mapped, privately, that nobody has written to: a debugger leaves pages of its own."""
    found: list[tuple[int, int]] = []
    here: tuple[int, int] | None = None
    for line in smaps:
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            fields = line.split(None, 5)
            start, _, end = fields[0].partition("-")
            is_code = fields[1] == "r-xp" and len(fields) == 6 and fields[5].startswith("/")
            here = (int(start, 16), int(end, 16)) if is_code else None
            if here is not None:
                found.append(here)
        elif name in ("Anonymous:", "Private_Dirty:") and rest.split()[0] != "0" and here in found:
            found.remove(here)
    return found
