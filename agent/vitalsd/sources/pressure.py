"""
Pressure stall information: for how long somebody had to wait for a processor, or for memory.

Of the worker's own control group on cgroup v2, else of the host. 7 us per file, open to everybody; a kernel
without it (before 4.20, or psi=0) tells nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

__all__ = ["Pressure", "PressureFiles", "find_pressure"]


class Pressure(msgspec.Struct, frozen=True):
    """Seconds since the start in which at least one task waited."""

    cpu_seconds: float | None
    memory_seconds: float | None


class PressureFiles(msgspec.Struct, frozen=True):
    """Where they are told."""

    cpu: str
    memory: str

    def read(self) -> Pressure:
        """Both, now."""
        return Pressure(_total(self.cpu), _total(self.memory))


def find_pressure(proc: Path, group: str | None) -> PressureFiles:
    """The files of the group's folder, if it has them, or those of the host."""
    if group is not None and os.access(f"{group}/cpu.pressure", os.R_OK):
        return PressureFiles(f"{group}/cpu.pressure", f"{group}/memory.pressure")
    return PressureFiles(f"{proc}/pressure/cpu", f"{proc}/pressure/memory")


def _total(path: str) -> float | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(fd, 512)
        finally:
            os.close(fd)
        line = next(line for line in text.split(b"\n") if line.startswith(b"some "))
        return int(line.rpartition(b"total=")[2]) / 1e6
    except (OSError, ValueError, StopIteration):
        return None
