"""
Attaches: opens the inspector of a process, has it load the probe and close the inspector, and makes sure of it.

Three things see to it that no port stays open. The expression that is evaluated schedules the closing before all
else; a guard closes it when this process ends before; and what opens late, because the service's loop was blocked,
is waited for by the guard, for a bounded time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vitalsd.attach.facts import Candidate
from vitalsd.attach.guard import Guard
from vitalsd.attach.handlers import handled_signals
from vitalsd.attach.inspector import Inspector, InspectorError, evaluate, find_inspector, new_listeners
from vitalsd.attach.sockets import descriptors
from vitalsd.errors import VitalsdError
from vitalsd.targets.processes import read_key

__all__ = ["Attaching", "close_inspector"]

FIRST_LOOK_SECONDS = 0.001
MOST_LOOK_SECONDS = 0.1
GONE_SECONDS = 3.0
LATE_SECONDS = 60.0
"""For so long the guard waits for an inspector that opens late."""
T = TypeVar("T")


class Attaching:
    """One attempt on one process that has been looked at."""

    def __init__(self, candidate: Candidate, proc: Path = Path("/proc")) -> None:
        self._key = candidate.key
        self._sure = candidate.handled is not None
        self._folder = proc / str(candidate.key.pid)
        self._proc = proc

    def attach(self, arm: str, options: dict[str, object], seconds: float) -> float:
        """
        Have the probe at the path `arm` loaded; VitalsdError says what was left behind.

        The answer is the time from the signal until nothing listened any more: longer than the port was open.
        """
        before = set(descriptors(self._folder))
        guard = Guard(lambda asked: self._close_late(before, asked))
        try:
            began = self._open(guard)
            inspector = _wait(lambda: find_inspector(self._folder, before), seconds)
            if inspector is None:
                raise VitalsdError(self._left("has not opened its inspector", seconds, guard))
            try:
                evaluate(self._folder, inspector, arm, options, guard.asked)
            except InspectorError as error:
                raise VitalsdError(self._left(f"was not attached to, {error},", seconds, guard)) from error
            if not _wait(lambda: inspector.inode not in descriptors(self._folder), seconds):
                raise VitalsdError(self._left("has not closed its inspector", seconds, guard))
            guard.closed()
            return time.monotonic() - began
        except (FileNotFoundError, ProcessLookupError) as error:
            raise VitalsdError(f"Process {self._key.pid} has ended meanwhile.") from error
        finally:
            guard.leave()

    def _open(self, guard: Guard) -> float:
        """Send the signal to this process and to nobody else, if it still is for the inspector; the time of it."""
        pid = os.pidfd_open(self._key.pid)
        try:
            handled = handled_signals(self._folder)
            if read_key(self._proc, self._key.pid) != self._key or (
                self._sure and (handled is None or signal.SIGUSR1 in handled)
            ):
                raise VitalsdError(f"Process {self._key.pid} has changed meanwhile; it was sent nothing.")
            guard.begun()
            began = time.monotonic()
            signal.pidfd_send_signal(pid, signal.SIGUSR1)
        finally:
            os.close(pid)
        return began

    def _left(self, what: str, seconds: float, guard: Guard) -> str:
        return (
            f"Process {self._key.pid} {what} within {seconds:g} s. Its loop may be blocked, and its inspector may "
            f"open later: process {guard.pid} closes it if that is within {LATE_SECONDS:g} s, and after that "
            f"`vitalsd probe attach --close --pid {self._key.pid}` does."
        )

    def _close_late(self, before: set[int], asked: bool) -> None:
        """By the guard: close what is open, or opens yet."""
        if asked and _wait(lambda: not new_listeners(self._folder, before), GONE_SECONDS):
            return
        until = time.monotonic() + LATE_SECONDS
        while (left := until - time.monotonic()) > 0 and self._same():
            found = _wait(lambda: find_inspector(self._folder, before), min(left, 1.0))
            if found is not None:
                with contextlib.suppress(VitalsdError):
                    close_inspector(self._folder, found)
                    return

    def _same(self) -> bool:
        return read_key(self._proc, self._key.pid) == self._key


def close_inspector(process: Path, inspector: Inspector) -> None:
    """Close one that is open; VitalsdError where it has not closed in time."""
    evaluate(process, inspector, None, {})
    if not _wait(lambda: inspector.inode not in descriptors(process), LATE_SECONDS):
        raise VitalsdError(
            f"The inspector at {inspector.address} has not closed within {LATE_SECONDS:g} s: the loop is blocked, "
            "or somebody else is connected."
        )


def _wait(look: Callable[[], T | None], seconds: float) -> T | None:
    """The first answer that is one, looked for ever less often; None after so long."""
    until, pause = time.monotonic() + seconds, FIRST_LOOK_SECONDS
    while True:
        found = look()
        if found or time.monotonic() >= until:
            return found
        time.sleep(pause)
        pause = min(MOST_LOOK_SECONDS, pause * 1.2)
