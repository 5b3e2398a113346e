"""Counters of kills for memory: whose a kill was, and which were nobody's of ours."""

from __future__ import annotations

import os
import shutil

import pytest
from support.groups import PID, Groups

from vitalsd.model import WorkerKey
from vitalsd.sources.cgroup.kills import CLAIMED_WITHIN_SECONDS, KillCounters, Moved

KEY = WorkerKey(PID, 1000)
OTHER = WorkerKey(PID + 1, 1000)
MORE = CLAIMED_WITHIN_SECONDS + 1


def kill(groups, count, name="shop", version=2):
    """The group's counter, as the kernel has it."""
    if version == 2:
        groups.group(name, memory_current=1, memory_events=f"low 0\noom 1\noom_kill {count}\noom_group_kill 0")
    else:
        groups.group(name, memory_usage_in_bytes=1, memory_oom_control=f"under_oom 0\noom_kill {count}")


@pytest.fixture
def groups(tree, tmp_path):
    """Two workers in a group of version 2, of which five were killed before."""
    groups = Groups(tree, tmp_path / "cg")
    tree.add(OTHER.pid)
    for pid in (PID, OTHER.pid):
        groups.joins("0::/shop\n", pid)
    groups.mounts("self", ("/", groups.top, "cgroup2", "rw"))
    kill(groups, 5)
    return groups


@pytest.fixture
def kills(groups):
    """Both are followed."""
    counters = KillCounters(groups.tree.root)
    counters.follow(KEY)
    counters.follow(OTHER)
    yield counters
    counters.leave(KEY)
    counters.leave(OTHER)


def test_what_was_before_is_nobodys(kills):
    """A SIGKILL while the counter stands still is no kill for memory."""
    assert kills.claim(KEY) is None
    assert kills.settle(0.0) == kills.settle(MORE) == []


def test_a_kill_is_claimed_once(groups, kills):
    """By as many as the counter has moved by."""
    kill(groups, 6)
    assert kills.claim(KEY) == ("/shop",)
    assert kills.claim(OTHER) is None
    kill(groups, 8)
    assert kills.claim(KEY) == kills.claim(OTHER) == ("/shop",)
    assert kills.settle(0.0) == kills.settle(MORE) == []


def test_the_counter_moves_before_the_worker_is_gone(groups, kills):
    """It takes a process a while to give its memory back."""
    kill(groups, 6)
    assert kills.settle(0.0) == kills.settle(CLAIMED_WITHIN_SECONDS - 0.1) == []
    assert kills.claim(KEY) == ("/shop",)
    assert kills.settle(MORE) == []


def test_a_kill_that_nobody_claims_was_none_of_ours(groups, kills):
    """It is told once."""
    kill(groups, 7)
    assert kills.settle(0.0) == []
    assert kills.settle(MORE) == [Moved("/shop", 2)]
    assert kills.settle(2 * MORE) == []
    assert kills.claim(KEY) is None
    assert set(kills.members("/shop")) == {KEY, OTHER}


def test_version_1_counts_too(groups):
    """In another file."""
    groups.joins("4:memory:/shop\n0::/\n")
    groups.mounts("self", ("/", groups.top, "cgroup", "rw,memory"))
    kill(groups, 1, version=1)
    counters = KillCounters(groups.tree.root)
    counters.follow(KEY)
    kill(groups, 2, version=1)
    assert counters.claim(KEY) == ("/shop",)
    counters.leave(KEY)


def test_without_a_group_the_host_counts(groups):
    """And what moves it without a worker tells nothing: it may have been anybody."""
    groups.joins("0::/\n")
    groups.group("", cgroup_procs="")
    (groups.tree.root / "vmstat").write_text("nr_free_pages 1\noom_kill 3\n")
    counters = KillCounters(groups.tree.root)
    counters.follow(KEY)
    (groups.tree.root / "vmstat").write_text("nr_free_pages 1\noom_kill 5\n")
    assert counters.claim(KEY) == (None,)
    assert counters.settle(0.0) == counters.settle(MORE) == []
    counters.leave(KEY)


def host(groups, count):
    """The host's counter, as the kernel has it."""
    (groups.tree.root / "vmstat").write_text(f"nr_free_pages 1\noom_kill {count}\n")


@pytest.fixture
def both(groups):
    """One worker that its group accounts for, and one that none does."""
    groups.joins("0::/\n", OTHER.pid)
    groups.group("", cgroup_procs="")
    host(groups, 30)
    counters = KillCounters(groups.tree.root)
    counters.follow(KEY)
    counters.follow(OTHER)
    yield counters
    counters.leave(KEY)
    counters.leave(OTHER)


def test_what_a_group_has_counted_is_nobody_elses(groups, both):
    """The host counts it as well: that step is not there for another, before and after it is claimed."""
    kill(groups, 6)
    host(groups, 31)
    assert both.claim(OTHER) is None
    assert both.claim(KEY) == ("/shop",)
    assert both.claim(OTHER) is None
    host(groups, 32)
    assert both.claim(KEY) is None
    assert both.claim(OTHER) == (None,)
    assert both.claim(OTHER) is None


def test_a_kill_in_a_group_that_nobody_claims_is_nobody_elses(groups, both):
    """It was another process of that group."""
    kill(groups, 6)
    host(groups, 31)
    assert both.settle(0.0) == []
    assert both.settle(MORE) == [Moved("/shop", 1)]
    assert both.claim(OTHER) is None
    assert both.settle(2 * MORE) == []


def test_who_is_put_into_a_group_later_is_counted_by_it(groups, both):
    """Of one that a group accounts for, the host's counter tells nothing."""
    groups.joins("0::/shop\n", OTHER.pid)
    assert both.settle(0.0) == []
    host(groups, 31)
    assert both.claim(OTHER) is None
    kill(groups, 6)
    assert both.claim(OTHER) == ("/shop",)


def test_a_group_that_is_gone_says_nothing(groups, kills):
    """As one that was made for one container alone."""
    for file in (groups.top / "shop").iterdir():
        file.write_text("")
    shutil.rmtree(groups.top / "shop")
    assert kills.claim(KEY) is None
    assert kills.settle(0.0) == kills.settle(MORE) == []


def test_who_is_gone_or_out_of_reach_has_no_counter(groups):
    """And nobody else's is taken for it."""
    counters = KillCounters(groups.tree.root)
    counters.follow(WorkerKey(99, 1))
    assert counters.claim(WorkerKey(99, 1)) is None
    counters.leave(WorkerKey(99, 1))


def test_the_counter_stays_open_for_as_long_as_somebody_is_in_the_group(groups):
    """One for all of them; the way to it may lead through one that has ended."""
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    counters = KillCounters(groups.tree.root)
    counters.follow(KEY)
    counters.follow(OTHER)
    assert len(set(os.listdir("/proc/self/fd")) - before) == 1  # noqa: PTH208 - numbers
    groups.tree.remove(PID)
    counters.leave(KEY)
    kill(groups, 6)
    assert counters.claim(OTHER) == ("/shop",)
    counters.leave(OTHER)
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 - numbers
