"""
Reads command lines, and never waits long for one.

A command line lies in the memory of its process, and the kernel takes that process's mmap lock to read it. Where
somebody sleeps with the lock held (a page fault on a dead NFS server is enough) the reader sleeps as long, and
nothing can wake it. So a thread reads, and the agent's loop waits WAIT_SECONDS for it. A thread that has not moved
since the last time is stuck: it is left behind on the process that holds it, and another goes on with the rest.

A batch costs about 0.1 ms for the thread and 10 us for each process; nothing asked, no thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import structlog

from vitalsd.model import WorkerKey

__all__ = ["Commands"]

WAIT_SECONDS = 0.05
MOST_LEFT_BEHIND = 2
"""A host on which more than these are stuck has a trouble that more threads would only add to."""
LONGEST_BYTES = 65_536
"""The kernel lets a process have megabytes of arguments; what a service is stands at their beginning."""
log = structlog.get_logger(__name__)


class Commands:
    """The command lines of processes, as the kernel has them: each argument ends with a NUL."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._reader: _Reader | None = None
        self._seen_at: WorkerKey | None = None
        self._left_behind: list[_Reader] = []
        self._given_up = False

    @property
    def pending(self) -> bool:
        """Whether some that were asked for are on their way, or have come late."""
        on_their_way = self._reader is not None and not self._given_up
        return on_their_way or any(reader.done.is_set() for reader in self._left_behind)

    def read(self, keys: Iterable[WorkerKey]) -> dict[WorkerKey, bytes | None]:
        """
        The command lines of these, None for what is gone or may not be read.

        What is not in the answer has not come yet, or is not known now: ask for it again the next time.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        wanted = set(keys)
        answers = self._review()
        while missing := wanted - answers.keys() - {reader.at for reader in self._left_behind}:
            reader = self._reader or self._start(missing)
            if reader is None:
                break
            done = reader.done.wait(0.0 if self._given_up else max(0.0, deadline - time.monotonic()))
            answers.update(reader.taken())
            if not done:
                self._reader, self._seen_at = reader, reader.at
                break
            self._reader = None
        came = ((key, answers[key]) for key in wanted & answers.keys())
        return {key: answer for key, answer in came if not isinstance(answer, OSError)}

    def _review(self) -> dict[WorkerKey, bytes | OSError | None]:
        """What has come since the last time; a reader that has not moved since then is given up."""
        readers = [*self._left_behind, *([self._reader] if self._reader is not None else [])]
        answers = dict(answer for reader in readers for answer in reader.taken())
        self._left_behind = [reader for reader in self._left_behind if not reader.done.is_set()]
        reader = self._reader
        if reader is None:
            return answers
        if reader.done.is_set():
            self._reader, self._given_up = None, False
        elif reader.at != self._seen_at:
            self._seen_at, self._given_up = reader.at, False
        elif len(self._left_behind) < MOST_LEFT_BEHIND:
            reader.leave()
            self._left_behind.append(reader)
            self._reader, self._given_up = None, False
            log.warning("command_hangs", pid=reader.at and reader.at.pid, reason="its memory is locked")
        elif not self._given_up:
            self._given_up = True
            pids = [behind.at.pid for behind in (*self._left_behind, reader) if behind.at is not None]
            reason = "all of these hang: what starts now is not recognized until one of them ends"
            log.warning("commands_given_up", pids=pids, reason=reason)
        return answers

    def _start(self, keys: Iterable[WorkerKey]) -> _Reader | None:
        reader = _Reader(self._proc, keys)
        try:
            reader.start()
        except RuntimeError as error:  # no room for one more thread: the limit of a container's pids
            if not self._given_up:
                log.warning("commands_given_up", pids=[], reason=str(error))
            self._given_up = True
            return None
        self._given_up = False
        return reader


class _Reader(threading.Thread):
    """Reads one batch."""

    def __init__(self, proc: Path, keys: Iterable[WorkerKey]) -> None:
        super().__init__(name="vitalsd-commands", daemon=True)
        self.at: WorkerKey | None = None
        self.done = threading.Event()
        self._proc = proc
        self._left = deque(keys)
        self._answers: deque[tuple[WorkerKey, bytes | OSError | None]] = deque()

    def run(self) -> None:
        """Read one after the other; deques, since both ends of them are safe without a lock."""
        while self._left:
            try:
                self.at = self._left.popleft()
            except IndexError:
                break  # left behind in this moment
            self._answers.append((self.at, _read(f"{self._proc}/{self.at.pid}/cmdline")))
        self.done.set()

    def leave(self) -> None:
        """Do nothing more after what it is at."""
        self._left.clear()

    def taken(self) -> Iterable[tuple[WorkerKey, bytes | OSError | None]]:
        """What has been read since the last time."""
        while self._answers:
            yield self._answers.popleft()


def _read(path: str) -> bytes | OSError | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(file, LONGEST_BYTES)
        finally:
            os.close(file)
    except (FileNotFoundError, ProcessLookupError, PermissionError, MemoryError):
        return None  # gone, or none of this user's business where /proc is mounted with hidepid
    except OSError as error:
        return error
