"""
Tells systemd how the agent is: that it has begun, reads its configuration again, is alive, and ends.

One datagram each, to the socket that systemd names, and nothing at all where it names none. An agent is alive
while its rounds are made: one whose loop turns but that samples nobody is started again like one that hangs. The
agent of `vitalsd run` tells nothing: what is named there is the service's.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, MutableMapping

__all__ = ["Systemd"]

SOCKET, WATCHDOG, WATCHED = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class Systemd:
    """The one who has started us, if it is systemd and waits to be told."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Take what is meant for us out of the environment: no child of ours may speak for us."""
        named = {name: environment.pop(name, "") for name in (SOCKET, WATCHDOG, WATCHED)}
        address = named[SOCKET]
        self._address = "\0" + address[1:] if address.startswith("@") else address
        ours = self._address and named[WATCHED] in ("", str(os.getpid()))
        self._watchdog_seconds = int(named[WATCHDOG]) / 1e6 if ours and named[WATCHDOG].isdecimal() else 0.0

    def begun(self) -> None:
        """Whoever waits for us may go on."""
        self._tell("READY=1")

    def reloads(self) -> None:
        """Until `begun` is told again."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def ends(self) -> None:
        """We have been told to stop."""
        self._tell("STOPPING=1")

    async def run(self, lives: Callable[[float], bool], status: Callable[[], str]) -> None:
        """
        Say that we live, at half of the time after which we would be taken for dead; and in words how we are.

        `lives` is asked whether a round was made within so many seconds.
        """
        if not self._watchdog_seconds:
            return
        told = ""
        while True:
            if lives(self._watchdog_seconds):
                words = status()
                self._tell("WATCHDOG=1" + (f"\nSTATUS={words}" if words != told else ""))
                told = words
            await asyncio.sleep(self._watchdog_seconds / 2)

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as ours:
                ours.setblocking(False)
                ours.sendto(message.encode(), self._address)
        except OSError:  # it hears us the next time, or starts us again
            return
