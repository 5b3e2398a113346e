"""A real agent, started as systemd starts one: what it is told, and that a service's own socket is left alone."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.agent import Agent, running, watching
from support.probed import TARGETS
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WATCHDOG = {"WATCHDOG_USEC": "600000"}


class Hearing:
    """The socket of whoever starts services, and all that was said to it."""

    def __init__(self, theirs: socket.socket) -> None:
        self._theirs = theirs
        self.said: list[str] = []

    def times(self, what: str) -> int:
        """How often this was said so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.said += self._theirs.recv(4096).decode().splitlines()
        return sum(line.startswith(what) for line in self.said)


@pytest.fixture
def hearing(tmp_path: Path) -> Iterator[Hearing]:
    """One for this test."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as theirs:
        theirs.bind(str(tmp_path / "notify"))
        theirs.setblocking(False)
        yield Hearing(theirs)


def test_an_agent_tells_how_it_is(tmp_path: Path, hearing: Hearing) -> None:
    """Begun, alive, reading its configuration again, and its end; one that hangs is heard of no more."""
    agent = Agent(tmp_path, {"NOTIFY_SOCKET": str(tmp_path / "notify"), **WATCHDOG})
    with watching(agent) as process:
        wait_for("its beginning", lambda: hearing.times("READY=1"))
        wait_for("its life", lambda: hearing.times("WATCHDOG=1") >= 2)
        assert "STATUS=0 targets, 0 workers up, 0 incidents open" in hearing.said
        process.send_signal(signal.SIGHUP)
        wait_for("a reload", lambda: hearing.times("READY=1") == 2)
        assert hearing.times("RELOADING=1") == 1
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        before = hearing.times("WATCHDOG=1")
        time.sleep(1.2)
        assert hearing.times("WATCHDOG=1") == before
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    assert hearing.times("STOPPING=1") == 1


def test_the_agent_of_a_service_says_nothing_for_it(tmp_path: Path, hearing: Hearing) -> None:
    """Who starts a unit by `vitalsd run` waits for the service, and what speaks for it is the service."""
    agent = Agent(tmp_path, {"NOTIFY_SOCKET": str(tmp_path / "notify"), **WATCHDOG})
    service = [sys.executable, str(TARGETS / "notifies.py")]
    with running(agent, service, "--name", "shop"):
        wait_for("the agent", agent.answers)
        wait_for("the service", lambda: hearing.times("READY=1"))
        time.sleep(1.0)
        assert (hearing.times("READY=1"), hearing.times("WATCHDOG=1")) == (1, 0)
