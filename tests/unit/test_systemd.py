"""What systemd is told, by a socket like its own."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from vitalsd.systemd import Systemd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["a path", "an abstract name"])
def hearing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Who listens, and as what it is named to us."""
    name = str(tmp_path / "notify") if request.param == "a path" else f"@vitalsd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as theirs:
        theirs.bind(name.replace("@", "\0") if name.startswith("@") else name)
        theirs.setblocking(False)
        yield theirs, name


def told(theirs: socket.socket) -> list[str]:
    """What has been said so far."""
    said = []
    while True:
        try:
            said.append(theirs.recv(4096).decode())
        except BlockingIOError:
            return said


def test_its_life_is_told(hearing: tuple[socket.socket, str]) -> None:
    """In systemd's words, and nothing of it is left to children."""
    theirs, name = hearing
    environment = {"NOTIFY_SOCKET": name, "HOME": "/root"}
    systemd = Systemd(environment)
    assert environment == {"HOME": "/root"}
    systemd.begun()
    systemd.reloads()
    systemd.begun()
    systemd.ends()
    begun, reloads, again, ends = told(theirs)
    assert (begun, again, ends) == ("READY=1", "READY=1", "STOPPING=1")
    assert reloads.startswith("RELOADING=1\nMONOTONIC_USEC=")


async def watched(systemd: Systemd, lives: list[bool]) -> None:
    """For as many looks as there are answers."""
    over = asyncio.Event()

    def alive(_seconds: float) -> bool:
        if len(lives) == 1:
            over.set()
        return lives.pop(0)

    running = asyncio.create_task(systemd.run(alive, lambda: "2 targets"))
    async with asyncio.timeout(5):
        await over.wait()
    running.cancel()


def test_it_is_alive_while_rounds_are_made(hearing: tuple[socket.socket, str]) -> None:
    """At half of the time, with how it is where that has changed; one whose rounds have stopped says nothing."""
    theirs, name = hearing
    of_us = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
    asyncio.run(watched(Systemd(of_us), [True, True, False, True]))
    assert told(theirs) == ["WATCHDOG=1\nSTATUS=2 targets", "WATCHDOG=1", "WATCHDOG=1"]


@pytest.mark.parametrize(
    "changed",
    [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "soon"}],
    ids=["another is watched", "nobody is", "a time that is none"],
)
def test_who_is_not_watched_says_nothing(hearing: tuple[socket.socket, str], changed: dict[str, str]) -> None:
    """A watchdog is for one process."""
    theirs, name = hearing
    of_us = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
    asyncio.run(Systemd(of_us | changed).run(lambda _seconds: True, lambda: ""))
    assert told(theirs) == []


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}], ids=["none", "gone"])
def test_without_systemd_nothing_happens(environment: dict[str, str]) -> None:
    """Most agents are started by somebody else."""
    Systemd(environment).begun()
