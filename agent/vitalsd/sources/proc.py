"""
/proc/PID: processor time, memory, threads, files, switches.

Reads stat and status (20 us, nearly all of it the kernel's), the size of the fd folder (3 us) and, once a minute,
limits. stat and status are open to everybody; the fd folder and limits of another user's process need that user
or CAP_SYS_PTRACE, and each field that lacks it says so.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from pathlib import Path

from vitalsd.counts import count
from vitalsd.model import ProcessVitals
from vitalsd.sources.descriptors import count_descriptors
from vitalsd.sources.files import read_file
from vitalsd.sources.permission import unreadable
from vitalsd.sources.registry import NoData, Worker, register
from vitalsd.sources.rlimits import read_rlimits
from vitalsd.ticks import TICKS

__all__ = ["ProcSource"]

LIMITS_SECONDS = 60.0
CLOCK_SECONDS = 60.0
"""When the clock is set by more, processes have begun at another time by it."""
STATUS = re.compile(
    rb"\n(VmRSS|RssAnon|VmSwap|voluntary_ctxt_switches|nonvoluntary_ctxt_switches):[ \t]*(\d{1,15})(?!\d)"
)
"""The lines that tell something here, of sixty."""


@register
class ProcSource:
    """What the kernel says of a process."""

    name = "proc"
    fills = "process"

    def __init__(self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.time) -> None:
        self._proc = proc
        self._clock = clock
        self._booted_at = self._clock_ahead = -math.inf
        self._follow_clock()
        self._limits: dict[object, tuple[float, int | None]] = {}
        self._limits_kept_until = 0.0
        """When those are forgotten that nobody has asked for since."""

    def read(self, worker: Worker, missing: dict[str, str]) -> ProcessVitals:
        """Read one process."""
        folder = f"{self._proc}/{worker.key.pid}"
        stat = read_file(folder + "/stat").rpartition(b")")[2].split()
        if count(stat[19]) != worker.key.start_ticks:
            raise NoData  # the pid is somebody else's by now
        self._follow_clock()
        status = {line: int(number) for line, number in STATUS.findall(read_file(folder + "/status"))}
        return ProcessVitals(
            state=stat[0].decode()[:1],
            started_at=self._booted_at + count(stat[19]) / TICKS,
            cpu_seconds=(count(stat[11]) + count(stat[12])) / TICKS,
            threads=count(stat[17]),
            resident_bytes=_bytes(status.get(b"VmRSS")),
            anonymous_bytes=_bytes(status.get(b"RssAnon")),
            swap_bytes=_bytes(status.get(b"VmSwap")),
            voluntary_switches=status.get(b"voluntary_ctxt_switches"),
            involuntary_switches=status.get(b"nonvoluntary_ctxt_switches"),
            open_fds=self._open_fds(folder, missing),
            max_fds=self._max_fds(folder, worker, missing),
        )

    def _follow_clock(self) -> None:
        """The kernel tells when it was booted by the clock of now; between two settings that is the same."""
        ahead = self._clock() - time.clock_gettime(time.CLOCK_BOOTTIME)
        if abs(ahead - self._clock_ahead) > CLOCK_SECONDS:
            self._booted_at, self._clock_ahead = _boot_time(self._proc), ahead

    def _open_fds(self, folder: str, missing: dict[str, str]) -> int | None:
        try:
            return count_descriptors(folder)
        except PermissionError:
            missing["open_fds"] = unreadable(folder, "fd")
            return None

    def _max_fds(self, folder: str, worker: Worker, missing: dict[str, str]) -> int | None:
        now = time.monotonic()
        known = self._limits.get(worker.key)
        if known is not None and now < known[0]:
            return known[1]
        try:
            limit = read_rlimits(folder).open_files
        except PermissionError:
            missing["max_fds"] = unreadable(folder, "limits")
            return None
        self._limits[worker.key] = (now + LIMITS_SECONDS, limit)
        if now >= self._limits_kept_until:
            self._limits = {key: entry for key, entry in self._limits.items() if now < entry[0]}
            self._limits_kept_until = now + LIMITS_SECONDS
        return limit


def _bytes(kib: int | None) -> int | None:
    return kib * 1024 if kib is not None else None


def _boot_time(proc: Path) -> float:
    for line in (proc / "stat").read_text().split("\n"):
        if line.startswith("btime "):
            return float(line.split()[1])
    raise ValueError(f"{proc / 'stat'} has no btime line")
