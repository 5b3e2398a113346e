"""
What the policy must know of a worker and of the host at this moment, read when a capture is asked for.

Eight small files of /proc, 0.1 ms, and none of them waits for a disk. `free_bytes` may: it is for a thread.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from vitalsd.capture.policy import HOST_MEMORY, Facts
from vitalsd.model import WorkerSample
from vitalsd.sources.descriptors import count_descriptors
from vitalsd.sources.files import read_file
from vitalsd.sources.rlimits import RLimits, read_rlimits

__all__ = ["free_bytes", "read_facts"]

SIZES = re.compile(rb"^(VmSize|VmData|RssAnon):[ \t]*(\d+)", re.MULTILINE)
AVAILABLE = re.compile(rb"^MemAvailable:[ \t]*(\d+)", re.MULTILINE)
PRESSURE = re.compile(rb"^some avg10=([0-9.]+)", re.MULTILINE)
LOAD = re.compile(rb"^([0-9.]+)")


def read_facts(
    worker: WorkerSample,
    *,
    late_seconds: float | None,
    agent_late_seconds: float,
    free: int | None,
    own_left: int | None = None,
    busy_share: float | None = None,
    proc: Path = Path("/proc"),
    cores: int | None = None,
) -> Facts:
    """Everything that is known now; what cannot be read is None, and nothing raises."""
    state, threads = _state(proc, worker)
    if state is None:
        return Facts(state=None)
    process = f"{proc}/{worker.key.pid if worker.key is not None else 0}"
    sizes = {name: int(kib) << 10 for name, kib in SIZES.findall(_text(process + "/status"))}
    own = _own_limits(process)
    left, left_of = _left(worker, own, sizes, _first(f"{proc}/meminfo", AVAILABLE))
    return Facts(
        state=state,
        threads=threads,
        late_seconds=late_seconds,
        busy_share=busy_share,
        heap_bytes=_heap(worker, sizes),
        left_bytes=left,
        left_of=left_of,
        open_fds=_open_fds(process, worker),
        max_fds=own.open_files,
        cpu_pressure_percent=_first(f"{proc}/pressure/cpu", PRESSURE),
        memory_pressure_percent=_first(f"{proc}/pressure/memory", PRESSURE),
        load=_first(f"{proc}/loadavg", LOAD),
        cores=cores or os.cpu_count() or 1,
        agent_late_seconds=agent_late_seconds,
        free_bytes=free,
        own_left_bytes=own_left,
    )


def free_bytes(folder: Path) -> int | None:
    """What may still be written on the disk of a folder, be it there already or not. A disk may not answer."""
    while True:
        try:
            disk = os.statvfs(folder)
        except FileNotFoundError:
            if folder.parent == folder:
                return None
            folder = folder.parent
        except OSError:
            return None
        else:
            return disk.f_bavail * disk.f_frsize


def _state(proc: Path, worker: WorkerSample) -> tuple[str | None, int | None]:
    """The kernel's letter, None when it has ended, and the number of threads."""
    if worker.key is None:
        return None, None
    if not worker.key.in_sight:
        return ("?" if worker.up else None), None
    stat = _text(f"{proc}/{worker.key.pid}/stat").rpartition(b")")[2].split()
    try:
        state, threads, started = stat[0].decode(), int(stat[17]), int(stat[19])
    except (ValueError, IndexError):
        return None, None
    return (None, None) if started != worker.key.start_ticks or state in "ZX" else (state, threads)


def _heap(worker: WorkerSample, sizes: dict[bytes, int]) -> int | None:
    """What lives in it as its probe tells, else all memory that is its own."""
    used = worker.probe.heap_used_bytes if worker.probe is not None else None
    if used is None:
        used = sizes.get(b"RssAnon")
    if used is None and worker.process is not None:
        used = worker.process.anonymous_bytes
    return used


def _left(
    worker: WorkerSample, own: RLimits, sizes: dict[bytes, int], available: float | None
) -> tuple[int | None, str]:
    """What is left of the limit that is met first, and whose that is; of who is out of sight nobody knows."""
    if worker.key is not None and not worker.key.in_sight:
        return None, "its memory limit"
    group = worker.memory.group if worker.memory is not None else None
    rooms = [
        (group.headroom_bytes if group is not None else None, "its memory limit"),
        (_difference(own.address_space, sizes.get(b"VmSize")), "its address space (RLIMIT_AS)"),
        (_difference(own.data, sizes.get(b"VmData")), "its data (RLIMIT_DATA)"),
        (int(available) << 10 if available is not None else None, HOST_MEMORY),
    ]
    known = [(room, whose) for room, whose in rooms if room is not None]
    return min(known, key=lambda one: one[0], default=(None, "its memory limit"))


def _difference(limit: int | None, used: int | None) -> int | None:
    return limit - used if limit is not None and used is not None else None


def _own_limits(process: str) -> RLimits:
    try:
        return read_rlimits(process)
    except (OSError, ValueError):
        return RLimits()


def _open_fds(process: str, worker: WorkerSample) -> int | None:
    try:
        return count_descriptors(process)
    except OSError:
        return worker.process.open_fds if worker.process is not None else None


def _first(path: str, pattern: re.Pattern[bytes]) -> float | None:
    found = pattern.search(_text(path))
    try:
        return float(found[1]) if found is not None else None
    except ValueError:
        return None


def _text(path: str) -> bytes:
    try:
        return read_file(path)
    except OSError:
        return b""
