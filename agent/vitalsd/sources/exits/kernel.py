"""
What the kernel tells of the end of a process that is not the agent's child.

Two ways. A pidfd tells how its process ended for as long as it is open, whoever owns that (Linux 6.15), from the
moment on that the parent has fetched it. Until then the process is a zombie, and /proc/PID/stat has it, for those
who may read the process as a tracer does; the others find a 0 there, which is none. Some 5 us each.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
from pathlib import Path

import msgspec

from vitalsd.counts import is_count
from vitalsd.model import WorkerKey
from vitalsd.targets.processes import UNREADABLE

__all__ = ["Trace", "is_readable", "look", "open_pidfd", "told_by_pidfd"]

INFO_BYTES = 80
"""`struct pidfd_info` as Linux 6.16 has it; a kernel that knows less of it fills less."""
GET_INFO = (3 << 30) | (INFO_BYTES << 16) | (0xFF << 8) | 11
INFO_EXIT = 1 << 3
EXIT_CODE_AT = 60
"""Behind two words of 64 bits and eleven numbers of 32."""
STAT_BYTES = 4096
FLAGS, START, EXIT_CODE = 6, 19, 49
"""Of /proc/PID/stat, counted from the field behind the name."""
PF_FORKNOEXEC = 0x40
CAP_SYS_PTRACE = 1 << 19


class Trace(msgspec.Struct, frozen=True):
    """What is left of a process in /proc."""

    ended: bool
    """It is a zombie: its parent has not fetched it yet."""
    forked: bool
    """Forked, and nothing executed since."""
    status: int | None = None
    """The wait status of one that has ended, if this agent may know."""


def open_pidfd(proc: Path, key: WorkerKey) -> int | None:
    """A descriptor of this very process; None where it is gone, OSError where there can be none, or none now."""
    try:
        descriptor = os.pidfd_open(key.pid)
    except ProcessLookupError:
        return None
    try:
        gone = look(proc, key) is None  # somebody else has the pid by now
    except OSError:
        os.close(descriptor)
        raise
    if gone:
        os.close(descriptor)
        return None
    return descriptor


def is_readable(descriptor: int) -> bool:
    """Whether the process of a pidfd has ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def told_by_pidfd(descriptor: int) -> int | None:
    """The wait status; None while the parent has not fetched it, OSError where the kernel does not tell at all."""
    info = bytearray(INFO_BYTES)
    struct.pack_into("Q", info, 0, INFO_EXIT)
    fcntl.ioctl(descriptor, GET_INFO, info, True)
    (mask,) = struct.unpack_from("Q", info, 0)
    (status,) = struct.unpack_from("i", info, EXIT_CODE_AT)
    return int(status) if mask & INFO_EXIT else None


def look(proc: Path, key: WorkerKey) -> Trace | None:
    """What /proc has of it; None where it is gone, or hidden, OSError where that is not known now."""
    fields = _stat(proc, key)
    if fields is None:
        return None
    ended = fields[0] in (b"Z", b"X")
    status = int(fields[EXIT_CODE]) if ended and len(fields) > EXIT_CODE and is_count(fields[EXIT_CODE]) else None
    if status == 0 and not _may_read(proc, key.pid):
        status = None
    return Trace(ended, bool(int(fields[FLAGS]) & PF_FORKNOEXEC), status)


def _stat(proc: Path, key: WorkerKey) -> list[bytes] | None:
    try:
        descriptor = os.open(f"{proc}/{key.pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fields = os.read(descriptor, STAT_BYTES).rpartition(b")")[2].split()
        finally:
            os.close(descriptor)
    except UNREADABLE:
        return None
    whole = len(fields) > START and is_count(fields[START]) and is_count(fields[FLAGS])
    return fields if whole and int(fields[START]) == key.start_ticks else None


def _may_read(proc: Path, pid: int) -> bool:
    """
    Whether the 0 that stat has for the exit code of this zombie is one.

    The kernel asks for all of its users and groups to be ours, or for CAP_SYS_PTRACE; with its memory, what a
    process had against being dumped has gone.
    """
    try:
        theirs = (proc / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
        ours = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    of_process, of_agent = (dict(line.partition(":")[::2] for line in text.split("\n")) for text in (theirs, ours))
    if int(of_agent.get("CapEff", "0"), 16) & CAP_SYS_PTRACE:
        return True
    owners = (os.geteuid(), os.getegid())
    return all(
        {int(number) for number in of_process.get(name, "-1").split()[:3]} == {owner}
        for name, owner in zip(("Uid", "Gid"), owners, strict=True)
    )
