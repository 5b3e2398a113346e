"""Whether a process's control group is frozen, in trees of version 1 and 2, and by the kernel's own version 1."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.groups import PID, Groups
from support.waiting import wait_for

from vitalsd.sources.cgroup.freezer import find_freezer

EVENTS = "populated 1\nfrozen {}"


@pytest.fixture
def groups(tree, tmp_path):
    """One process and no group yet."""
    return Groups(tree, tmp_path / "cg")


def test_version_2(groups):
    """The group says it for those above it too."""
    groups.joins("0::/docker/abc\n")
    groups.mounts("self", ("/", groups.top, "cgroup2", "rw"))
    groups.group("docker/abc", cgroup_events=EVENTS.format(0))
    freezer = find_freezer(groups.tree.root, PID)
    assert freezer.is_frozen() is False
    groups.group("docker/abc", cgroup_events=EVENTS.format(1))
    assert freezer.is_frozen() is True


@pytest.mark.parametrize(("state", "frozen"), [("THAWED", False), ("FREEZING", False), ("FROZEN", True)])
def test_version_1(groups, state, frozen):
    """While it is being frozen some of it still runs."""
    groups.joins("6:freezer:/docker/abc\n0::/\n")
    groups.mounts("self", ("/", groups.top, "cgroup", "rw,freezer"))
    groups.group("docker/abc", freezer_state=state)
    assert find_freezer(groups.tree.root, PID).is_frozen() is frozen


def test_who_cannot_be_frozen(groups):
    """The root of everything, a process that is gone, and a group that is."""
    groups.joins("0::/\n")
    groups.mounts("self", ("/", groups.top, "cgroup2", "rw"))
    assert find_freezer(groups.tree.root, PID) is None
    assert find_freezer(groups.tree.root, PID + 1) is None
    groups.joins("0::/gone\n")
    folder = groups.group("gone", cgroup_events=EVENTS.format(1))
    freezer = find_freezer(groups.tree.root, PID)
    (folder / "cgroup.events").unlink()
    assert freezer.is_frozen() is False


def test_a_real_freezer():
    """Of version 1, where one can be made."""
    folder = Path(f"/sys/fs/cgroup/freezer/vitalsd-test-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group for freezing can be made here: {error}")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        (folder / "cgroup.procs").write_text(str(child.pid))
        freezer = find_freezer(Path("/proc"), child.pid)
        assert freezer.is_frozen() is False
        (folder / "freezer.state").write_text("FROZEN")
        wait_for("it to be frozen", freezer.is_frozen)
        (folder / "freezer.state").write_text("THAWED")
        wait_for("it to go on", lambda: not freezer.is_frozen())
    finally:
        (folder / "freezer.state").write_text("THAWED")
        child.kill()
        child.wait()
        folder.rmdir()
