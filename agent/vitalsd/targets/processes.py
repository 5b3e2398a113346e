"""
The table of processes: who exists, whose child it is, what its command line says.

Reads /proc/PID/stat and /proc/PID/cmdline of processes not seen before, about 15 us each, and lists /proc each
time. A young process is read every time, since it may yet execute something else; an old one once a minute, since
a parent can change and a command line be rewritten.
"""

from __future__ import annotations

import functools
import os
import re
import time
from pathlib import Path

import msgspec

from vitalsd.model import WorkerKey

__all__ = ["Process", "ProcessTable", "read_key", "read_process", "scrub"]

REFRESH_SECONDS = 60.0
SETTLED_SECONDS = 30.0
TICKS = os.sysconf("SC_CLK_TCK")
MAX_COMMAND = 200
PF_FORKNOEXEC = 0x40
UNREADABLE = (FileNotFoundError, ProcessLookupError, PermissionError)
"""Gone, or none of this user's business where /proc is mounted with hidepid."""
SECRET = re.compile(
    r"""(?ix)
    ( [\w-]* (?: password | passwd | passphrase | secret | token | api[_-]?key | credential | authorization )
      [\w-]* ["']? (?: \s* [=:] \s* | \s+ ) ["']? (?: (?: bearer | basic ) \s+ )? )
    [^\s"',}]+"""
)
SECRET_IN_URL = re.compile(r"(\w+://)[^@\s]*@")


class Process(msgspec.Struct, frozen=True):
    """One process as far as finding it needs."""

    key: WorkerKey
    parent: int
    uid: int
    command: str
    """The whole command line; scrub it before anybody sees it."""
    forked: bool = False
    """Forked, and nothing executed since: it runs its parent's program."""

    @property
    def pid(self) -> int:
        """The process id, in the agent's namespace."""
        return self.key.pid


@functools.lru_cache(maxsize=512)
def scrub(command: str) -> str:
    """The command line without what looks like a secret, and not too long."""
    hidden = SECRET.sub(r"\1***", SECRET_IN_URL.sub(r"\1***@", command))
    return hidden if len(hidden) <= MAX_COMMAND else hidden[: MAX_COMMAND - 1] + "…"


def read_process(proc: Path, pid: int) -> Process | None:
    """The process with this pid, or None when there is none."""
    fields = _stat(proc, pid)
    if not fields:
        return None
    folder = proc / str(pid)
    try:
        command = (folder / "cmdline").read_bytes()
        uid = folder.stat().st_uid
    except UNREADABLE:
        return None
    text = command.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    forked = bool(int(fields[6]) & PF_FORKNOEXEC)
    return Process(WorkerKey(pid, int(fields[19])), int(fields[1]), uid, text, forked)


def read_key(proc: Path, pid: int) -> WorkerKey | None:
    """Who has this pid now."""
    fields = _stat(proc, pid)
    return WorkerKey(pid, int(fields[19])) if fields else None


def _stat(proc: Path, pid: int) -> list[bytes]:
    """The fields of stat after the name; empty when there is no such process, or a zombie, which is none."""
    try:
        with open(f"{proc}/{pid}/stat", "rb") as file:  # noqa: PTH123 - read for every worker every second
            fields = file.read().rpartition(b")")[2].split()
    except UNREADABLE:
        return []
    return fields if len(fields) >= 20 and fields[0] not in (b"Z", b"X") else []


class ProcessTable:
    """All processes, kept up to date cheaply."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._known: dict[int, Process] = {}
        self._fresh_until = 0.0

    def refresh(self, now: float) -> dict[int, Process]:
        """The table at CLOCK_MONOTONIC `now`, by pid."""
        names = os.listdir(self._proc)  # noqa: PTH208 - a Path for each of them would be half the cost
        pids = {int(name) for name in names if name.isdecimal()}
        keep = self._known if now < self._fresh_until else {}
        if not keep:
            self._fresh_until = now + REFRESH_SECONDS
        table: dict[int, Process] = {}
        for pid in pids:
            process = keep.get(pid) or read_process(self._proc, pid)
            if process is not None:
                table[pid] = process
        settled = (time.clock_gettime(time.CLOCK_BOOTTIME) - SETTLED_SECONDS) * TICKS
        self._known = {pid: process for pid, process in table.items() if process.key.start_ticks < settled}
        return table

    def forget(self, pid: int) -> None:
        """Look at this pid again the next time: what we knew of it has changed."""
        self._known.pop(pid, None)
