"""
Whose a segment is that nobody can hold a lock of: Node has none to offer.

Its header has the pid as its process has it and when that started, which two processes of a host hardly share. As
long as the heartbeat goes on that is enough. Where it does not, since all of the process is stopped or frozen, the
open file tells it from one that has executed something else since; it costs some 5 us for each descriptor.

Of a process out of the agent's sight there is the control socket: the kernel refuses who calls where nobody
listens any more. It is called only where something speaks for it, since whoever listens wakes up.
"""

from __future__ import annotations

import os
from pathlib import Path

from vitalsd.segment.calling import call
from vitalsd.segment.reader import Header
from vitalsd.targets.namespaces import own_number
from vitalsd.targets.processes import read_key

__all__ = ["has_hung_up", "has_open", "is_writer", "writer_of"]

MOST_DESCRIPTORS = 4096


def is_writer(proc: Path, pid: int, header: Header) -> bool:
    """Whether this process has written that header; OSError when that is not known now."""
    key = read_key(proc, pid)
    if key is None or key.start_ticks != header.start_ticks:
        return False
    return own_number(f"{proc}/{pid}/status") in (None, header.pid)


def writer_of(proc: Path, header: Header) -> int | None:
    """The pid, in the agent's namespace, of the process that has; None where the agent does not see it."""
    if is_writer(proc, header.pid, header):
        return header.pid
    pids = (int(name) for name in os.listdir(proc) if name.isdecimal())  # noqa: PTH208 - the names are enough
    return next((pid for pid in pids if is_writer(proc, pid, header)), None)


def has_open(proc: Path, pid: int, path: Path) -> bool:
    """Whether the process has that very file open, as far as the agent may see."""
    try:
        wanted = path.stat()
        for name in os.listdir(f"{proc}/{pid}/fd")[:MOST_DESCRIPTORS]:  # noqa: PTH208
            try:
                found = os.stat(f"{proc}/{pid}/fd/{name}")  # noqa: PTH116
            except FileNotFoundError:
                continue
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    except OSError:
        return False
    return False


def has_hung_up(segment: Path) -> bool:
    """Whether nobody listens any more at the control socket of this segment, as far as the agent may know."""
    return call(segment) is False
