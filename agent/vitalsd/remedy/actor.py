"""
Ends exactly one process: asked first, killed after its time of grace, by a pidfd, so never another with its pid.

The pidfd is opened first and the start time read after, so whoever has the pid then is who the signals go to. It
is readable when the process has ended, whoever's child that is. Nothing is stopped or attached: an agent that is
killed at any moment leaves a worker that was asked to end, or was not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from vitalsd.errors import VitalsdError
from vitalsd.model import WorkerKey
from vitalsd.sources.exits.kernel import is_readable, open_pidfd

__all__ = ["Gone", "Held", "NotPermitted", "held"]


class Gone(VitalsdError):  # noqa: N818 - it is an answer
    """The process has ended."""


class NotPermitted(VitalsdError):  # noqa: N818 - it is an answer
    """The kernel does not let this agent send it signals."""


class Held:
    """One process that can be sent signals and waited for."""

    def __init__(self, key: WorkerKey, descriptor: int) -> None:
        self._key = key
        self._descriptor = descriptor

    def send(self, number: int) -> None:
        """Send it a signal; 0 sends none and only asks whether one might be sent."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            raise Gone(f"process {self._key.pid} has ended by itself") from None
        except PermissionError:
            raise NotPermitted(
                f"this agent may not send signals to process {self._key.pid}: "
                "run it as the same user, or with CAP_KILL"
            ) from None

    async def ended(self, seconds: float) -> bool:
        """Wait for its end, for so long; whether it has ended."""
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        loop.add_reader(self._descriptor, over.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await over.wait()
        finally:
            loop.remove_reader(self._descriptor)
        return over.is_set()


@contextlib.contextmanager
def held(key: WorkerKey, proc: Path = Path("/proc")) -> Iterator[Held]:
    """This very process; raises Gone where it has ended, and NotPermitted where the kernel has no pidfds."""
    try:
        descriptor = open_pidfd(proc, key)
    except OSError as error:
        raise NotPermitted(f"process {key.pid} cannot be held by a pidfd: {error.strerror}") from None
    if descriptor is None:
        raise Gone(f"process {key.pid} has ended by itself")
    try:
        if is_readable(descriptor):
            raise Gone(f"process {key.pid} has ended by itself")
        yield Held(key, descriptor)
    finally:
        os.close(descriptor)
