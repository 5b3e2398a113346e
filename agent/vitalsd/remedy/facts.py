"""
What speaks against ending this process that only its files in /proc tell, read at the last moment.

Two small files, 0.1 ms. Nothing is cached: somebody may have attached a debugger a second ago.
"""

from __future__ import annotations

import re
from pathlib import Path

from vitalsd.model import STOPPED, Supervisor, WorkerKey
from vitalsd.sources.files import read_file
from vitalsd.targets.processes import has_gone

__all__ = ["IS_STOPPED", "looked_into", "objection"]

IS_STOPPED = "it is stopped, and somebody may be debugging it"
"""Without a command, since it is kept in a timeline: its incident `worker_hung` says what to do while it is so."""
FIELD = re.compile(rb"^(State|PPid|TracerPid):\s*(\S+)", re.MULTILINE)


def objection(key: WorkerKey, supervisor: Supervisor, proc: Path = Path("/proc")) -> str | None:
    """Why this worker is left alone now; None where nothing speaks against it."""
    if has_gone(proc, key):
        return f"process {key.pid} has ended by itself"
    if has_gone(proc, supervisor.key):
        return f"its supervisor (pid {supervisor.key.pid}) is gone, so nobody would start another"
    try:
        worker = _fields(proc, key.pid)
        parent = _fields(proc, supervisor.key.pid)
    except OSError as error:
        return f"its state cannot be read now: {error.strerror}"
    held = _looked_into(worker)
    if held is not None:
        return held
    if worker.get(b"PPid") != b"%d" % supervisor.key.pid:
        return f"it is no child of its supervisor (pid {supervisor.key.pid}), which would not notice its end"
    if _is_stopped(parent) or parent.get(b"TracerPid", b"0") != b"0":
        return f"its supervisor (pid {supervisor.key.pid}) is stopped or being debugged, and would start no other"
    return None


def looked_into(key: WorkerKey, proc: Path = Path("/proc")) -> str | None:
    """Why it is not killed although it was asked: somebody has taken it in hand since; None where nobody has."""
    try:
        return _looked_into(_fields(proc, key.pid))
    except OSError:
        return None  # it has ended, or will be found to have


def _looked_into(worker: dict[bytes, bytes]) -> str | None:
    if worker.get(b"TracerPid", b"0") != b"0":
        return f"process {worker[b'TracerPid'].decode()} is tracing it: somebody is debugging it"
    if _is_stopped(worker):
        return IS_STOPPED
    return None


def _is_stopped(fields: dict[bytes, bytes]) -> bool:
    return fields.get(b"State", b"").decode() in STOPPED


def _fields(proc: Path, pid: int) -> dict[bytes, bytes]:
    return dict(FIELD.findall(read_file(f"{proc}/{pid}/status")))
