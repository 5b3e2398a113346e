"""
What an agent that ends with its service leaves for who asks afterwards: that the service has ended, when and how.

A small file beside the token. `vitalsd status` reads it when no agent answers; the next agent of the same port
takes it away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from vitalsd.errors import UsageError
from vitalsd.model import Exit, WorkerKey

__all__ = ["Left", "forget", "how_it_ended", "leave", "left_at"]

log = structlog.get_logger(__name__)
TOLD_SECONDS = 0.5
"""How long an agent waits to hear how its service has ended: the service's next life waits for the ports."""
AGAIN_SECONDS = 0.02


class Left(msgspec.Struct, frozen=True):
    """A service that has ended, with the agent that `vitalsd run` had put beside it."""

    target: str
    pid: int
    ended_at: float
    """Unix time."""
    lived_seconds: float | None
    reason: str
    code: int | None
    signal: str | None
    evidence: str
    """How the reason was told, in words."""
    incidents_open: int
    """When it ended."""


async def how_it_ended(key: WorkerKey, told: Callable[[], tuple[Exit, ...]]) -> Exit | None:
    """The end of this process, once it is told; None where that takes too long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TOLD_SECONDS):
            while True:
                found = next((each for each in told() if each.key == key), None)
                if found is not None:
                    return found
                await asyncio.sleep(AGAIN_SECONDS)
    return None


def leave(where: Callable[[], Path], left: Left) -> None:
    """Write it down, where the disk takes it; nobody waits for us by then."""
    try:
        path = where()
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(left))
        aside.replace(path)
    except (OSError, UsageError) as error:
        log.warning("end_not_stored", reason=str(error))


def left_at(path: Path) -> Left | None:
    """What lies there, if something does that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Left)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def forget(where: Callable[[], Path]) -> None:
    """Another agent has begun."""
    with contextlib.suppress(OSError, UsageError):
        where().unlink(missing_ok=True)
