"""
The table of processes: who exists, whose child it is, what its command line says.

Reads /proc/PID/stat and /proc/PID/cmdline of processes not seen before, about 15 us each, and lists /proc each
time. A young process is read every time, since it may yet execute something else; an old one once a minute, since
a parent can change and a command line be rewritten. That a pid is taken again, the listing itself tells: each
process has a file of its own there. Of these files only cmdline can hold up its reader, see `commands`. Of
processes that are watched stat is read every time: that is how their end is noticed while nobody fetches it.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import structlog

from vitalsd.counts import is_count
from vitalsd.model import WorkerKey
from vitalsd.targets.commands import Commands
from vitalsd.targets.scrub import scrub
from vitalsd.ticks import TICKS

__all__ = ["UNREADABLE", "Ended", "Process", "ProcessTable", "has_gone", "is_hidden", "is_zombie", "read_key"]

REFRESH_SECONDS = 60.0
TURNS = 6
TURN_SECONDS = REFRESH_SECONDS / TURNS
SETTLED_SECONDS = 30.0
PF_FORKNOEXEC = 0x40
STAT_BYTES = 4096
COUNTS = (1, 6, 17, 19)
"""Of stat, behind the name: what is looked at of it."""
"""One read brings all of it; a file object for each worker and round would cost as much as that."""
UNREADABLE = (FileNotFoundError, ProcessLookupError, PermissionError)
"""Gone, or none of this user's business where /proc is mounted with hidepid. With any other error, such as that of
an agent that has too many files open, nothing is known now."""
log = structlog.get_logger(__name__)


class Process(msgspec.Struct, frozen=True):
    """One process as far as finding it needs."""

    key: WorkerKey
    parent: int
    uid: int
    arguments: str
    """The whole command line with a NUL between the arguments; only `shown` is for others to see."""
    forked: bool = False
    """Forked, and nothing executed since: it runs its parent's program."""

    @property
    def pid(self) -> int:
        """The process id, in the agent's namespace."""
        return self.key.pid

    @property
    def command(self) -> str:
        """The arguments joined by spaces: what patterns are matched against."""
        return self.arguments.replace("\0", " ")

    @property
    def shown(self) -> str:
        """The command line without secrets, and not too long."""
        return _shown(self.arguments)


class Ended(msgspec.Struct, frozen=True):
    """A process that has ended, and that its parent has not fetched: a zombie."""

    key: WorkerKey
    parent: int
    name: str


@functools.lru_cache(maxsize=512)
def _shown(arguments: str) -> str:
    return scrub(arguments.split("\0"))


def read_key(proc: Path, pid: int) -> WorkerKey | None:
    """Who has this pid now; OSError when that is not known now."""
    fields = _stat(proc, pid)
    return WorkerKey(pid, int(fields[19])) if fields else None


def has_gone(proc: Path, key: WorkerKey) -> bool:
    """Whether this process is known to have ended."""
    try:
        return read_key(proc, key.pid) != key
    except OSError:
        return False


def is_zombie(proc: Path, key: WorkerKey) -> bool:
    """Whether this process has ended and is there still; one that cannot be asked now counts as there."""
    try:
        _, fields = _stat_of_any(proc, key.pid)
    except OSError:
        return True
    return bool(fields) and fields[0] == b"Z" and int(fields[19]) == key.start_ticks


def _stat(proc: Path, pid: int) -> list[bytes]:
    """The fields of stat after the name; empty when there is no such process, or a zombie, which is none."""
    _, fields = _stat_of_any(proc, pid)
    return fields if fields and fields[0] not in (b"Z", b"X") else []


def _stat_of_any(proc: Path, pid: int) -> tuple[bytes, list[bytes]]:
    """Name and fields of stat, be it of a zombie; no fields when there is no such process."""
    try:
        descriptor = os.open(f"{proc}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            before, _, after = os.read(descriptor, STAT_BYTES).rpartition(b")")
        finally:
            os.close(descriptor)
    except UNREADABLE:
        return b"", []
    fields = after.split()
    whole = len(fields) >= 20 and all(is_count(fields[at]) for at in COUNTS)
    return before.partition(b"(")[2], fields if whole else []


def _look(proc: Path, pid: int) -> Process | Ended | None:
    """A process without its command line."""
    name, fields = _stat_of_any(proc, pid)
    if not fields or fields[0] == b"X":
        return None
    key, parent = WorkerKey(pid, int(fields[19])), int(fields[1])
    if fields[0] == b"Z":
        # A thread that began the process may end before the others do: then it is no zombie that could be fetched.
        return Ended(key, parent, name.decode("utf-8", "replace")) if int(fields[17]) <= 1 else None
    try:
        uid = os.stat(f"{proc}/{pid}").st_uid  # noqa: PTH116 - a Path would cost as much as the call
    except UNREADABLE:
        return None
    return Process(key, parent, uid, "", forked=bool(int(fields[6]) & PF_FORKNOEXEC))


class ProcessTable:
    """All processes, kept up to date cheaply."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._commands = Commands(proc)
        self._table: dict[int, Process] = {}
        self._settled: dict[int, Process] = {}
        self._files: dict[int, int] = {}
        """By pid, the number of the file that /proc had for it when it was listed last."""
        self._watched: frozenset[int] = frozenset()
        self._turn, self._turn_until = 0, -math.inf
        self.ended: dict[int, Ended] = {}
        """Who was a zombie at the last look, by pid."""

    @property
    def incomplete(self) -> bool:
        """Whether command lines are missing that the next look may bring."""
        return self._commands.pending

    def refresh(self, now: float) -> dict[int, Process]:
        """The table at CLOCK_MONOTONIC `now`, by pid."""
        try:
            with os.scandir(self._proc) as entries:
                files = {int(entry.name): entry.inode() for entry in entries if entry.name.isdecimal()}
        except OSError as error:
            log.warning("processes_not_known", reason=str(error))
            return self._table
        self._take_turns(now)
        table: dict[int, Process] = {}
        ended: dict[int, Ended] = {}
        unread: dict[WorkerKey, Process] = {}
        unknown: set[WorkerKey] = set()
        for pid, file in files.items():
            before = self._settled.get(pid) if self._files.get(pid) == file else None
            if before is not None and pid not in self._watched:
                table[pid] = before
                continue
            try:
                seen = _look(self._proc, pid)
            except OSError:  # what was known of it holds until it can be read again
                known = self._table.get(pid)
                if known is not None and self._files.get(pid) == file:
                    table[pid] = known
                    unknown.add(known.key)
                continue
            if isinstance(seen, Ended):
                ended[pid] = seen
            elif seen is not None and before is not None and seen.key == before.key:
                table[pid] = before
            elif seen is not None:
                unread[seen.key] = seen
        self._files, self.ended = files, ended
        waiting = self._read_commands(unread, table) if unread or self.incomplete else set()
        settled = (time.clock_gettime(time.CLOCK_BOOTTIME) - SETTLED_SECONDS) * TICKS
        self._settled = {pid: process for pid, process in table.items() if process.key.start_ticks < settled}
        for key in waiting | unknown:
            self._settled.pop(key.pid, None)
        self._table = table
        return table

    def _take_turns(self, now: float) -> None:
        """Have those read again whose turn it is, or was since the last time."""
        if now < self._turn_until:
            return
        turns = min(TURNS, 1 + int((now - self._turn_until) / TURN_SECONDS)) if self._settled else 1
        due = {(self._turn + number) % TURNS for number in range(turns)}
        self._settled = {pid: process for pid, process in self._settled.items() if pid % TURNS not in due}
        self._turn, self._turn_until = (self._turn + turns) % TURNS, now + TURN_SECONDS

    def _read_commands(self, unread: dict[WorkerKey, Process], table: dict[int, Process]) -> set[WorkerKey]:
        """Add these to the table, each with its command line; who is still waited for has the one known before."""
        answers = self._commands.read(unread)
        for key, process in unread.items():
            if key in answers:
                line = answers[key]
                if line is None:
                    continue
                arguments = line.rstrip(b"\0").decode("utf-8", "replace")
            else:
                before = self._table.get(key.pid)
                arguments = before.arguments if before is not None and before.key == key else ""
            table[key.pid] = Process(key, process.parent, process.uid, arguments, process.forked)
        return unread.keys() - answers.keys()

    def watch(self, pids: Iterable[int]) -> None:
        """Look at these each time, and at no others: they may end, and stay as zombies."""
        self._watched = frozenset(pids)

    def forget(self, pid: int) -> None:
        """Look at this pid again the next time: what we knew of it has changed."""
        self._settled.pop(pid, None)


def is_hidden(proc: Path, pid: int) -> bool:
    """Whether somebody has this pid whom /proc does not show."""
    if pid <= 0 or os.path.lexists(f"{proc}/{pid}"):
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
