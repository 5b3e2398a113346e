"""
The thread of a storage file: everything is handed over or asked for, and nothing is ever waited for.

It does all that touches the disk. A disk that is slow, full or gone is tried again until it works, told once in
the log and for as long as it lasts in `problem`. The thread sleeps when there is nothing to do.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from vitalsd.errors import VitalsdError
from vitalsd.storage.file import StorageFile, file_name, is_damage

__all__ = ["Keeper"]

log = structlog.get_logger(__name__)

AT_ONCE_SECONDS = 0.5
"""What was damaged is out of the way, so that the next attempt need not wait."""
RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 15.0
SILENT_SECONDS = 10.0
"""A disk that has not answered for so long is a problem."""
MOST_QUESTIONS = 16

Database = TypeVar("Database", bound=StorageFile)
Answer = TypeVar("Answer")


class Keeper(ABC, Generic[Database]):
    """One file and its thread. Every method but `start` and `close` returns at once."""

    def __init__(self, folder: Callable[[], Path], kind: str, listen: str) -> None:
        self._folder = folder
        self._kind = kind
        self._name = file_name(kind, listen)
        self._turn = threading.Condition()
        """Whoever touches what both sides know has it."""
        self._questions: deque[tuple[Callable[[Database], Any], Future[Any]]] = deque()
        self._tried = threading.Event()
        self._closing = False
        self._problem: str | None = None
        self._busy_since: float | None = None
        self._retry_at = 0.0
        self._retry_seconds = RETRY_SECONDS
        self._database: Database | None = None
        self._thread = threading.Thread(target=self._run, name=f"vitalsd-{kind}", daemon=True)

    @abstractmethod
    def _open(self, path: Path) -> Database:
        """Open the file and take what is needed of it; only the thread calls this."""

    @abstractmethod
    def _write(self, database: Database, now: float, *, everything: bool) -> None:
        """Write what is due at CLOCK_MONOTONIC `now`, or all there is; only the thread calls this."""

    @abstractmethod
    def _due(self) -> float:
        """CLOCK_MONOTONIC at which there is something to write, as far as is known; the turn is ours."""

    @property
    def problem(self) -> str | None:
        """Why nothing is stored now, if that is so."""
        since = self._busy_since
        if since is not None and (waited := time.monotonic() - since) > SILENT_SECONDS:
            return f"the disk has not answered for {waited:.0f} s"
        return self._problem

    @property
    def tried(self) -> bool:
        """Whether the file was opened, or could not be: until then, nobody knows what lies there."""
        return self._tried.is_set()

    def start(self, wait_seconds: float) -> None:
        """Begin, and give the disk a moment, so that an agent goes on with what lies there from its first look."""
        self._thread.start()
        self._tried.wait(wait_seconds)

    def ask(self, question: Callable[[Database], Answer]) -> Future[Answer]:
        """What the file says to that, when the disk has told; an error of the disk is the future's."""
        answer: Future[Answer] = Future()
        with self._turn:
            if not self._thread.is_alive() or (self._problem is not None and self._database is None):
                answer.set_exception(OSError(self._problem or "the store is closed"))
            elif len(self._questions) >= MOST_QUESTIONS:
                answer.set_exception(OSError("too many questions are waiting for the disk"))
            else:
                self._questions.append((question, answer))
                self._turn.notify()
        return answer

    def close(self, wait_seconds: float = 2.0) -> None:
        """Write what is waiting, if the disk takes it in that time."""
        with self._turn:
            self._closing = True
            self._turn.notify()
        if self._thread.ident is not None:
            self._thread.join(wait_seconds)

    def _run(self) -> None:
        while not self._closing:
            self._attempt()
            self._tried.set()
            self._wait()
        self._attempt(last=True)
        self._refuse("the store is closed")
        if self._database is not None:
            self._database.close()

    def _wait(self) -> None:
        with self._turn:
            while not self._closing and (rest := self._rest()) > 0:
                self._turn.wait(rest)

    def _rest(self) -> float:
        """How long there is nothing to do unless somebody says otherwise; the turn is ours."""
        if self._questions:
            return 0.0
        # What did not work is tried again with nothing to write, too: it is a problem until it works.
        at = self._retry_at if self._problem is not None else max(self._due(), self._retry_at)
        return at - time.monotonic()

    def _attempt(self, *, last: bool = False) -> None:
        """Do what is due; whatever comes of it, the thread goes on."""
        now = time.monotonic()
        resting = now < self._retry_at and not last
        if resting and self._database is None:
            return
        self._busy_since = now
        try:
            database = self._opened()
            self._answer(database)
            if not resting:
                self._write(database, now, everything=last)
                self._recover()
        except Exception as error:  # noqa: BLE001 - nothing ends this thread, and all of it is told
            self._fail(error)
        finally:
            self._busy_since = None

    def _opened(self) -> Database:
        if self._database is not None and self._database.is_gone():
            log.error("store_taken_away", store=self._kind, path=str(self._database.path))
            self._database.close()
            self._database = None
        if self._database is None:
            self._database = self._open(self._folder() / self._name)
        return self._database

    def _answer(self, database: Database) -> None:
        while self._questions:
            question, answer = self._questions.popleft()
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(question(database))
                except Exception as error:
                    answer.set_exception(error)
                    raise

    def _fail(self, error: Exception) -> None:
        damaged = is_damage(error)
        if damaged and self._database is not None:
            self._database.set_aside(str(error))
            self._database.close()
            self._database = None
        reason = _words(error)
        if reason != self._problem:
            expected = isinstance(error, OSError | sqlite3.Error | VitalsdError) or damaged
            log.error("store_unavailable", store=self._kind, reason=reason, exc_info=None if expected else error)
        # On a bad disk, what was damaged is not the last.
        at_once = damaged and self._problem is None
        self._problem = reason
        self._refuse(reason)
        self._retry_at = time.monotonic() + (AT_ONCE_SECONDS if at_once else self._retry_seconds)
        self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)

    def _recover(self) -> None:
        if self._problem is not None:
            log.info("store_recovered", store=self._kind)
        self._problem, self._retry_at, self._retry_seconds = None, 0.0, RETRY_SECONDS

    def _refuse(self, reason: str) -> None:
        with self._turn:
            questions, self._questions = list(self._questions), deque()
        for _, answer in questions:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(OSError(reason))


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
