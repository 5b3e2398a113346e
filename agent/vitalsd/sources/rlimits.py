"""The soft limits of a process that say something here, of /proc/PID/limits. 9 us a reading."""

from __future__ import annotations

import msgspec

from vitalsd.sources.files import read_file

__all__ = ["RLimits", "read_rlimits"]


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
    for line in read_file(process + "/limits").decode().splitlines():
        name, number = line[:26].rstrip(), line[26:].split()[:1]
        if number and number[0].isdecimal():
            soft[name] = int(number[0])
    return RLimits(soft.get("Max open files"), soft.get("Max address space"), soft.get("Max data size"))
