"""What is read of a running Node's own loop."""

from __future__ import annotations

import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.probed import TARGETS

from vitalsd.sources.interpreter import Turn
from vitalsd.sources.room import Descriptors
from vitalsd.sources.uv import UvTurns
from vitalsd.sources.uv.place import MACHINE

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc")
A_MILLISECOND = 0.001
pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here"),
    pytest.mark.skipif(platform.machine() != MACHINE, reason=f"libuv's code is known on {MACHINE} only"),
]


class Service:
    """A service that stops where it says, and the reader of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.turns = UvTurns(PROC, process.pid, Descriptors(4))

    def stopped(self, where: str) -> float:
        """When it came there."""
        assert self.process.stdout is not None
        name, at = self.process.stdout.readline().split()
        assert name == where
        return float(at)

    def go_on(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def read(self) -> Turn:
        """The turn that it is in."""
        epoll = self.turns.epoll
        if epoll is None and "older than 1.45" in (self.turns.missing or ""):
            pytest.skip(self.turns.missing or "")
        assert epoll is not None, self.turns.missing
        turn = self.turns.read(epoll)
        assert turn is not None
        return turn


@pytest.fixture
def service() -> Iterator[Service]:
    """A Node service."""
    command = ["node", str(TARGETS / "turns.js")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        found = Service(process)
        yield found
        found.turns.close()
        process.kill()


def test_looks_at_one_turn_tell_one_moment(service):
    """It is before the callback began; that libuv looks at its clock meanwhile does not make it another turn."""
    began = time.monotonic()
    at = service.stopped("first")
    first = service.read()
    assert first.turn_began is not None
    assert began < first.turn_began <= at
    service.go_on()
    assert service.stopped("same") > at
    assert service.read() == first


def test_the_next_turn_is_another(service):
    """A loop that turns is told apart from one that does not come back."""
    service.stopped("first")
    first = service.read()
    service.go_on()
    same = service.stopped("same")
    service.go_on()
    service.stopped("later")
    later = service.read()
    assert first.turn_began is not None
    assert later.turn_began is not None
    assert later.turn_began > same - A_MILLISECOND


def test_another_epoll_is_not_the_loop(service):
    """What waits elsewhere is not read as if it were the loop."""
    service.stopped("first")
    assert service.read().turn_began is not None
    assert service.turns.read(999) is None


def test_a_process_that_has_gone_tells_nothing(service):
    """It is no error, and nothing is told of whoever has its number next."""
    service.stopped("first")
    service.read()
    epoll = service.turns.epoll
    assert epoll is not None
    service.process.kill()
    service.process.wait()
    assert service.turns.read(epoll) is None
    assert service.turns.epoll is None
