"""
A program that an engine runs beside the service, so that it can do no harm: of low priority, with limits for its
memory, its files and its processor time, ended with the agent, and its cost known to the last tick.

Started by `posix_spawn`, which takes the agent's loop half a millisecond; looked at, not waited for.
"""

from __future__ import annotations

import asyncio
import os
import resource  # noqa: F401 - os.wait4 imports it at its first call, and may not be able to by then
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from vitalsd.capture.engines.registry import CaptureError
from vitalsd.capture.ownroom import for_programs, own_room
from vitalsd.sources.signals import catches
from vitalsd.ticks import TICKS

__all__ = ["Confined", "ConfinedError", "Limits", "ended_how", "until_ended"]

ENTER = str(Path(__file__).with_name("enter.py"))
LOOK_SECONDS = 0.05
LAST_LOOK_SECONDS = 0.005
LAST_SECONDS = 2.0
"""Whoever is not gone by then after SIGKILL hangs in the kernel, and is left to it."""


class ConfinedError(CaptureError):
    """It could not be started."""


class Limits(msgspec.Struct, frozen=True):
    """What a program may take."""

    address_space_bytes: int
    file_bytes: int
    """Of each file that it writes."""
    cpu_seconds: int
    """The kernel kills it beyond that."""
    nice: int = 10


class Confined:
    """One such program. All methods belong to one thread."""

    def __init__(self, command: Sequence[str], limits: Limits, output: Path) -> None:
        """Start it; what it prints goes to `output`. Of the agent's own memory it gets no more than there is."""
        room = for_programs(own_room().left_bytes())
        self.data_bytes = min(room, limits.address_space_bytes) if room is not None else limits.address_space_bytes
        """What it may have of memory that is its own."""
        most = (limits.address_space_bytes, self.data_bytes, limits.file_bytes, limits.cpu_seconds)
        whole = [sys.executable, "-I", "-S", ENTER, *map(str, (os.getpid(), limits.nice, *most)), *command]
        files = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        try:
            self.pid = os.posix_spawn(
                sys.executable, whole, os.environ, file_actions=files, setpgroup=0, setsigdef=[signal.SIGINT]
            )
        except OSError as error:
            raise ConfinedError(f"{command[0]} cannot be started: {error.strerror or error}") from None
        self.code: int | None = None
        """How it ended: its exit code, or a signal's number below zero."""
        self._cpu_seconds = 0.0

    def poll(self) -> int | None:
        """How it ended, once it has."""
        if self.code is None:
            try:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it
                self.code = -signal.SIGKILL
                return self.code
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                self._cpu_seconds = usage.ru_utime + usage.ru_stime
        return self.code

    def cpu_seconds(self) -> float:
        """Processor time so far."""
        if self.code is None:
            try:
                with open(f"/proc/{self.pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123
                    fields = file.read(1024).rpartition(b")")[2].split()
                self._cpu_seconds = (int(fields[11]) + int(fields[12])) / TICKS
            except (OSError, ValueError, IndexError):
                pass
        return self._cpu_seconds

    def catches(self, number: int) -> bool:
        """Whether the program itself, and not what confines it before, has something to do at this signal."""
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return False
        caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), None)
        return ENTER.encode() not in command and catches(caught, number)

    def signal(self, number: int) -> None:
        """Send it a signal; until it was waited for its pid is nobody else's."""
        if self.code is None:
            os.kill(self.pid, number)

    async def end(self) -> None:
        """Kill it if it runs, and wait for it; being cancelled meanwhile comes after that."""
        cancelled = False
        self.signal(signal.SIGKILL)
        until = time.monotonic() + LAST_SECONDS
        while self.poll() is None and time.monotonic() < until:
            try:
                await asyncio.sleep(LAST_LOOK_SECONDS)
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError


async def until_ended(
    program: Confined, seconds: float, problem: str, look: Callable[[], None] | None = None
) -> None:
    """Wait for it so long, and look at something else meanwhile. Raises CaptureError."""
    until = time.monotonic() + seconds
    while program.poll() is None:
        if time.monotonic() > until:
            raise CaptureError(f"{problem} within {seconds:g} s, and was killed")
        if look is not None:
            look()
        await asyncio.sleep(LOOK_SECONDS)


def ended_how(code: int | None) -> str:
    """Of a program that has said nothing."""
    return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
