"""When a worker is left alone, by a worker in a /proc of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.views import OBSERVED

from vitalsd.capture.census_policy import BURST, NEED_BYTES, NEED_DESCRIPTORS, REFILL_SECONDS, CensusPolicy
from vitalsd.model import MemoryGroup, MemoryVitals, WorkerKey

KEY = WorkerKey(50, 777)
WORKER = replace(OBSERVED, key=KEY)
PAGE = os.sysconf("SC_PAGE_SIZE")


class World:
    """One worker, and what may be known of it."""

    def __init__(self, proc: Path) -> None:
        self.now = 100.0
        self.stalling = False
        self.left: int | None = None
        self.folder = proc / "50"
        self.folder.mkdir()
        self.worker()
        self.policy = CensusPolicy(lambda key: self.stalling and key == KEY, proc=proc, clock=lambda: self.now)

    def worker(self, state: str = "S", started: int = 777) -> None:
        """Write what /proc tells of it."""
        fields = [state, *["0"] * 18, str(started), "0"]
        (self.folder / "stat").write_text(f"50 (a ) b) {' '.join(fields)}\n")

    def refusal(self, opened: int | None = 10, most: int | None = 1024) -> tuple[str, str] | None:
        """Why it is left alone."""
        assert WORKER.process is not None
        process = replace(WORKER.process, open_fds=opened, max_fds=most)
        memory = MemoryVitals(group=MemoryGroup("/shop", headroom_bytes=self.left))
        return self.policy.refusal(replace(WORKER, process=process, memory=memory), KEY)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A worker that may be asked."""
    return World(tmp_path)


def test_it_may_be_asked(world: World) -> None:
    """Nothing speaks against it, or is known to."""
    assert world.refusal() is None
    assert world.refusal(None, None) is None
    assert world.policy.refusal(replace(WORKER, process=None, memory=None), KEY) is None
    assert world.policy.refusal(replace(WORKER, memory=MemoryVitals()), KEY) is None


@pytest.mark.parametrize(("state", "word"), [("T", "stopped"), ("t", "stopped"), ("Z", "gone"), ("X", "gone")])
def test_state(world: World, state: str, word: str) -> None:
    """A process that is stopped cannot answer, and one that has ended neither."""
    world.worker(state)
    refusal = world.refusal()
    assert refusal is not None
    assert refusal[0] == word
    assert world.policy.has_gone(KEY) == (word == "gone")


def test_another_process(world: World) -> None:
    """Its pid is somebody else's by now."""
    world.worker(started=778)
    assert world.refusal() == ("gone", "process 50 has ended")
    assert world.policy.has_gone(WorkerKey(51, 1))


def test_never_during_a_stall(world: World) -> None:
    """It has enough to do."""
    world.stalling = True
    assert world.refusal() == ("stall", "its event loop is late, and left alone meanwhile")


@pytest.mark.parametrize(("left", "refused"), [(2 * NEED_BYTES, False), (2 * NEED_BYTES - 1, True), (-5, True)])
def test_headroom(world: World, left: int, refused: bool) -> None:
    """Twice what it takes must be left of the memory limit."""
    world.left = left
    refusal = world.refusal()
    assert (refusal is not None) == refused
    assert refusal is None or refusal[0] == "headroom"


@pytest.mark.parametrize(
    ("address_space", "data", "refused"),
    [
        ("unlimited", "unlimited", False),
        (300 * PAGE + 2 * NEED_BYTES, "unlimited", False),
        (300 * PAGE + 2 * NEED_BYTES - 1, "unlimited", True),
        (10**12, 60 * PAGE + 2 * NEED_BYTES - 1, True),
        (10**12, 60 * PAGE + 2 * NEED_BYTES, False),
        (PAGE, PAGE, True),
    ],
)
def test_its_own_limits(world: World, address_space: object, data: object, refused: bool) -> None:
    """Of RLIMIT_AS and RLIMIT_DATA as much must be left: an allocation of the service's might fail meanwhile."""
    rows = ["Limit Soft Hard Units", f"{'Max data size':26}{data} x", f"{'Max address space':26}{address_space} x"]
    (world.folder / "limits").write_text("\n".join(rows))
    (world.folder / "statm").write_text("300 200 10 5 0 60 0\n")
    refusal = world.refusal()
    assert (refusal is not None) == refused
    assert refusal is None or refusal[0] == "headroom"


@pytest.mark.parametrize(("opened", "refused"), [(1024 - NEED_DESCRIPTORS, False), (1024, True)])
def test_descriptors(world: World, opened: int, refused: bool) -> None:
    """The service's last descriptors are its own."""
    refusal = world.refusal(opened)
    assert (refusal is not None) == refused
    assert refusal is None or refusal == ("descriptors", f"{opened} of its 1024 file descriptors are open")


def test_budget(world: World) -> None:
    """Six at once, then one in ten minutes; what is refused for another reason costs nothing."""
    world.stalling = True
    for _ in range(50):
        world.refusal()
    world.stalling = False
    told = [world.refusal() for _ in range(BURST + 1)]
    assert told[:-1] == [None] * BURST
    assert told[-1] == ("budget", "the budget of 6 censuses, one more each 600 s, is used up")
    world.now += REFILL_SECONDS
    assert world.refusal() is None
