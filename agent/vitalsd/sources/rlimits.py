"""The soft limits of a process that say something here, of /proc/PID/limits, and their rest. 9 us a reading."""

from __future__ import annotations

import os

import msgspec

from vitalsd.counts import is_count
from vitalsd.sources.files import read_file

__all__ = ["RLimits", "memory_left", "read_rlimits"]

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class RLimits(msgspec.Struct, frozen=True):
    """None is no limit."""

    open_files: int | None = None
    address_space: int | None = None
    """RLIMIT_AS: of everything mapped, so what is resident stays below it."""
    data: int | None = None
    """RLIMIT_DATA: of everything private that may be written, since Linux 4.7."""


def read_rlimits(process: str) -> RLimits:
    """The limits of the process at `/proc/PID`."""
    soft: dict[str, int] = {}
    for line in read_file(process + "/limits").split(b"\n"):
        name, number = line[:26].rstrip(), line[26:].split()[:1]
        if number and is_count(number[0]):
            soft[name.decode("ascii", "replace")] = int(number[0])
    return RLimits(soft.get("Max open files"), soft.get("Max address space"), soft.get("Max data size"))


def memory_left(process: str) -> int | None:
    """Bytes that the process at `/proc/PID` may still ask for by its own limits; None where it has none."""
    limits = read_rlimits(process)
    if limits.address_space is None and limits.data is None:
        return None
    pages = read_file(process + "/statm").split()
    # What is private and may be written has the stack with it here, which counts for RLIMIT_AS alone.
    used = int(pages[0]) * PAGE_BYTES, int(pages[5]) * PAGE_BYTES
    both = zip((limits.address_space, limits.data), used, strict=True)
    return min(limit - mapped for limit, mapped in both if limit is not None)
