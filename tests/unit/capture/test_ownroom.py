"""What programs may take beside the agent, by the control group that it is in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.groups import Groups
from support.proctree import ProcTree

from vitalsd.capture import confined, ownroom
from vitalsd.capture.confined import Confined, Limits
from vitalsd.capture.ownroom import KEPT_BYTES, OwnRoom, for_programs
from vitalsd.sources.cgroup.memory import OWN_SECONDS

MIB = 1 << 20


class Room:
    """Of so much."""

    def __init__(self, left: int | None) -> None:
        self.left = left

    def left_bytes(self) -> int | None:
        """That much."""
        return self.left


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    """The agent's own group, of version 2."""
    tree = ProcTree(tmp_path / "proc")
    own = Groups(tree, tmp_path / "cg")
    tree.add(os.getpid())
    own.joins("0::/agent\n", os.getpid())
    own.mounts("self", ("/", own.top, "cgroup2", "rw"))
    return own


def fill(groups: Groups, limit: object, used: int, inactive: int = 0, active: int = 0) -> None:
    """Sizes in MiB."""
    stat = f"inactive_file {inactive * MIB}\nactive_file {active * MIB}\nslab_reclaimable 0"
    groups.group("agent", memory_max=limit, memory_current=used * MIB, memory_stat=stat)


def test_pages_of_files_are_no_loss(groups: Groups) -> None:
    """The kernel takes them back before it ends anybody, those that are in use too."""
    fill(groups, 64 * MIB, used=60, inactive=8, active=12)
    assert OwnRoom(groups.tree.root).left_bytes() == 24 * MIB


def test_it_is_looked_at_again(groups: Groups) -> None:
    """Once in a second at most."""
    now = 0.0
    room = OwnRoom(groups.tree.root, lambda: now)
    fill(groups, 64 * MIB, used=40)
    assert room.left_bytes() == 24 * MIB
    fill(groups, 64 * MIB, used=60)
    assert room.left_bytes() == 24 * MIB
    now = OWN_SECONDS
    assert room.left_bytes() == 4 * MIB


def test_no_limit(groups: Groups) -> None:
    """Nothing is held back where nobody has set one, or none is to be seen."""
    fill(groups, "max", used=40)
    assert OwnRoom(groups.tree.root).left_bytes() is None
    assert OwnRoom(groups.tree.root / "nowhere").left_bytes() is None
    assert for_programs(None) is None


def test_some_of_it_is_the_agents() -> None:
    """Programs get what is beyond."""
    assert for_programs(KEPT_BYTES + 5 * MIB) == 5 * MIB
    assert for_programs(KEPT_BYTES - 1) == 0


def test_a_program_takes_no_more_than_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told that there is no more memory, before the kernel has to end somebody of the group."""
    monkeypatch.setattr(confined, "own_room", lambda: Room(KEPT_BYTES + 40 * MIB))
    limits = Limits(address_space_bytes=300 * MIB, file_bytes=MIB, cpu_seconds=5)
    for size, code in ((8, 0), (80, 1)):
        program = Confined([confined.sys.executable, "-c", f"bytearray({size} << 20)"], limits, tmp_path / "out")
        while program.poll() is None:
            os.sched_yield()
        assert program.code == code
    assert "MemoryError" in (tmp_path / "out").read_text()
    assert program.data_bytes == 40 * MIB


def test_there_is_one_of_this_process() -> None:
    """Which remembers where it has to look."""
    assert ownroom.own_room() is ownroom.own_room()
