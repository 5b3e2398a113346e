"""For how long a process was held, told from what its state was at each look."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitalsd.capture import held as module
from vitalsd.capture.held import HeldWatch


class World:
    """A process, and a clock that moves by 10 ms with each look."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 5.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        self.file = folder / "7" / "task" / "7" / "stat"
        self.file.parent.mkdir(parents=True)
        self.become("S")
        self.watch = HeldWatch(7, folder)

    def become(self, state: str) -> None:
        """Change its state."""
        self.file.write_text(f"7 (a) b) {state} 1 7 7 0")

    def look(self, states: str) -> None:
        """Look at it in each of these states."""
        for state in states:
            self.become(state)
            self.now += 0.01
            self.watch.look()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A process that sleeps."""
    world = World(tmp_path, monkeypatch)
    yield world
    world.watch.close()


def test_the_longest_stretch(world: World) -> None:
    """From the last look before it to the first after it, so rather too long than too short."""
    world.look("SRtRSttSR")
    assert world.watch.longest_seconds == pytest.approx(0.03)
    assert not world.watch.stopped


def test_held_to_the_end(world: World) -> None:
    """One that is not over counts so far."""
    world.look("Rttt")
    assert world.watch.longest_seconds == pytest.approx(0.03)


def test_never_held(world: World) -> None:
    """One that somebody else has stopped is not our doing, and is noted."""
    world.look("RSTTR")
    assert world.watch.longest_seconds == 0.0
    assert world.watch.stopped


def test_gone(tmp_path: Path) -> None:
    """There is nothing to see."""
    watch = HeldWatch(8, tmp_path)
    watch.look()
    watch.close()
    watch.look()
    assert (watch.longest_seconds, watch.stopped) == (0.0, False)
