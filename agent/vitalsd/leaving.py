"""
What an agent leaves for who asks afterwards, when none answers: two small files beside the token.

One says that the service has ended with it, when and how: `vitalsd status` reads that, and the next agent of the
same port takes it away. The other says where it has served metrics, by which what it stored is called: those who
ask know the port of the API. While it runs it holds a record lock on that one, which the kernel takes away however
it ends: tokens stay, and so a token says of no agent that it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog

from vitalsd.detect.worker_down import of_service
from vitalsd.errors import UsageError
from vitalsd.incidents.book import Book
from vitalsd.model import OUT_OF_ORDER, Exit, WorkerKey
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import ended_path, listen_path
from vitalsd.settings.types import split_listen

__all__ = ["Left", "begin", "leave", "left_at", "listen_left", "take_leave"]

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


def begin(settings: Settings) -> BinaryIO | None:
    """
    Another agent has begun: what the last one has said is no longer so.

    It is seen to run for as long as the file that is given back is open. It must not be opened in this process
    again: a record lock goes with the first descriptor that is closed.
    """
    try:
        ended_path(settings).unlink(missing_ok=True)
        held = _write(listen_path(settings), settings.exporters.prometheus.listen.encode())
    except (OSError, UsageError) as error:
        log.warning("listen_not_stored", reason=str(error))
        return None
    with contextlib.suppress(OSError):  # a file system that has no locks: whoever asks has to name this agent
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return held


async def take_leave(
    service: WorkerKey, settings: Settings, ends: Callable[[str], tuple[Exit, ...]], book: Book
) -> None:
    """The service has ended: say how to who asks later; an end out of order is an incident as well."""
    name = settings.targets[0].name
    end = await _how_it_ended(service, lambda: ends(name))
    loops = any((each.kind, each.target, each.state) == ("crash_loop", name, "open") for each in book.incidents())
    if end is not None and end.reason in OUT_OF_ORDER and not loops:
        book.take([of_service(name, end)])
    found = [each for each in book.incidents() if each.state == "open" and each.target == name]
    await asyncio.to_thread(leave, settings, _left(name, service, end, len(found)))


def leave(settings: Settings, left: Left) -> None:
    """Write it down, where the disk takes it; nobody waits for us by then."""
    try:
        _write(ended_path(settings), msgspec.json.encode(left)).close()
    except (OSError, UsageError) as error:
        log.warning("end_not_stored", reason=str(error))


def left_at(path: Path) -> Left | None:
    """What lies there, if something does that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Left)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def listen_left(settings: Settings) -> str | None:
    """Where the last agent of this port of the API has served metrics, if it has said so."""
    try:
        listen = listen_path(settings).read_text(encoding="utf-8")
        split_listen(listen)
    except (OSError, ValueError):
        return None
    return listen


async def _how_it_ended(key: WorkerKey, told: Callable[[], tuple[Exit, ...]]) -> Exit | None:
    """The end of this process, once it is told; None where that takes too long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TOLD_SECONDS):
            while True:
                found = next((each for each in told() if each.key == key), None)
                if found is not None:
                    return found
                await asyncio.sleep(AGAIN_SECONDS)
    return None


def _left(name: str, service: WorkerKey, end: Exit | None, incidents_open: int) -> Left:
    if end is None:
        told = "it was not told in time how it ended"
        return Left(name, service.pid, time.time(), None, "unknown", None, None, told, incidents_open)
    how = end.reason, end.code, end.signal, end.evidence
    return Left(name, service.pid, end.ended_at, end.lived_seconds, *how, incidents_open)


def _write(path: Path, content: bytes) -> BinaryIO:
    """Aside, and renamed: whole or not at all; still open."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    file = os.fdopen(descriptor, "wb")
    try:
        file.write(content)
        file.flush()
        aside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # a disk that is full refuses what is left of it once more
            file.close()
        raise
    return file
