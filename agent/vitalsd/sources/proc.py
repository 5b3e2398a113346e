"""
/proc/PID: processor time, memory, threads, files, switches.

Reads stat and status (about 8 us), the size of the fd folder (2 us) and, once a minute, limits. stat and status
are open to everybody; the fd folder and limits of another user's process need that user or CAP_SYS_PTRACE, and
each field that lacks it says so.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from vitalsd.model import ProcessVitals
from vitalsd.sources.registry import NoData, Worker, register

__all__ = ["ProcSource"]

TICKS = os.sysconf("SC_CLK_TCK")
LIMITS_SECONDS = 60.0


@register
class ProcSource:
    """What the kernel says of a process."""

    name = "proc"
    fills = "process"

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._booted_at = _boot_time(proc)
        self._limits: dict[object, tuple[float, int | None]] = {}

    def read(self, worker: Worker, missing: dict[str, str]) -> ProcessVitals:
        """Read one process."""
        folder = self._proc / str(worker.key.pid)
        stat = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        if int(stat[19]) != worker.key.start_ticks:
            raise NoData  # the pid is somebody else's by now
        status = (folder / "status").read_bytes()
        return ProcessVitals(
            state=stat[0].decode(),
            started_at=self._booted_at + int(stat[19]) / TICKS,
            cpu_seconds=(int(stat[11]) + int(stat[12])) / TICKS,
            threads=int(stat[17]),
            resident_bytes=_kib(status, b"VmRSS"),
            anonymous_bytes=_kib(status, b"RssAnon"),
            swap_bytes=_kib(status, b"VmSwap"),
            voluntary_switches=_plain(status, b"voluntary_ctxt_switches"),
            involuntary_switches=_plain(status, b"nonvoluntary_ctxt_switches"),
            open_fds=self._open_fds(folder, missing),
            max_fds=self._max_fds(folder, worker, missing),
        )

    def _open_fds(self, folder: Path, missing: dict[str, str]) -> int | None:
        try:
            size = (folder / "fd").stat().st_size  # the number of descriptors, since Linux 6.2, for everybody
            if size:
                return size
            with os.scandir(folder / "fd") as entries:
                return sum(1 for _ in entries)
        except PermissionError:
            missing["open_fds"] = _lacks(folder, "fd")
            return None

    def _max_fds(self, folder: Path, worker: Worker, missing: dict[str, str]) -> int | None:
        now = time.monotonic()
        known = self._limits.get(worker.key)
        if known is not None and now < known[0]:
            return known[1]
        try:
            lines = (folder / "limits").read_text().splitlines()
        except PermissionError:
            missing["max_fds"] = _lacks(folder, "limits")
            return None
        found = next((line.split()[3] for line in lines if line.startswith("Max open files")), "unlimited")
        limit = int(found) if found.isdecimal() else None
        self._limits = {key: entry for key, entry in self._limits.items() if now < entry[0]}
        self._limits[worker.key] = (now + LIMITS_SECONDS, limit)
        return limit


def _kib(status: bytes, field: bytes) -> int | None:
    value = _plain(status, field)
    return value * 1024 if value is not None else None


def _plain(status: bytes, field: bytes) -> int | None:
    """The number of one line of status; looking for five lines is cheaper than splitting sixty."""
    at = status.find(b"\n" + field + b":")
    return int(status[at + len(field) + 2 :].split(None, 1)[0]) if at >= 0 else None


def _lacks(folder: Path, name: str) -> str:
    owner = folder.stat().st_uid
    return (
        f"{folder / name} may be read by uid {owner} or with CAP_SYS_PTRACE, this agent is uid {os.geteuid()}: "
        f"run it as uid {owner}, or as root with CAP_SYS_PTRACE"
    )


def _boot_time(proc: Path) -> float:
    for line in (proc / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise ValueError(f"{proc / 'stat'} has no btime line")
