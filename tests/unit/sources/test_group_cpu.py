"""CPU accounts of control groups of both versions, as agents in and out of containers see them."""

from __future__ import annotations

import pytest
from support.groups import Groups

from vitalsd.sources.cgroup.cpu import Throttling, find_cpu_group, most_throttled

V2 = "usage_usec 9\nnr_periods {0}\nnr_throttled {1}\nthrottled_usec {2}\n"
V1 = "nr_periods {0}\nnr_throttled {1}\nthrottled_time {2}\n"


@pytest.fixture
def mounted(tree, tmp_path):
    """A /proc with one process, and control groups."""
    return Groups(tree, tmp_path / "cg")


def test_v2(mounted):
    """The group's account, and those above it up to the mount."""
    mounted.joins("0::/app.slice/web\n")
    mounted.mounts("self", ("/", mounted.top, "cgroup2", "rw,nsdelegate"))
    mounted.group("", cpu_stat="usage_usec 12\n")
    mounted.group("app.slice", cpu_stat=V2.format(5, 1, 100))
    mounted.group("app.slice/web", cpu_stat=V2.format(20, 10, 2_500_000))
    group = find_cpu_group(mounted.tree.root, 10)
    assert group.folders[0] == f"{mounted.top}/app.slice/web"
    assert group.read() == (Throttling(20, 10, 2.5), Throttling(5, 1, 0.0001), None)


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct"])
def test_v1(mounted, controllers):
    """The controller `cpu` wherever it is mounted, beside a version 2 that has none."""
    mounted.joins(f"9:name=systemd:/x\n4:memory:/other\n1:{controllers}:/docker/1\n0::/\n")
    mounted.mounts(
        "self",
        ("/", "/nowhere", "cgroup", "rw,memory"),
        ("/", mounted.top, "cgroup", f"rw,{controllers}"),
        ("/", mounted.top, "cgroup2", "rw"),
    )
    mounted.group("docker/1", cpu_stat=V1.format(20, 10, 2_500_000_000))
    mounted.group("", cpu_stat=V1.format(0, 0, 0))
    assert find_cpu_group(mounted.tree.root, 10).read() == (Throttling(20, 10, 2.5), Throttling(0, 0, 0.0))


def test_mount_of_a_part(mounted):
    """A container sees its own part of the hierarchy, mounted with the part's name as its root."""
    mounted.joins("0::/kubepods/pod1/c1/sub\n")
    mounted.mounts("self", ("/kubepods/pod1/c1", mounted.top, "cgroup2", "rw"))
    mounted.group("sub", cpu_stat=V2.format(1, 1, 1_000_000))
    mounted.group("", cpu_stat=V2.format(1, 0, 0))
    assert find_cpu_group(mounted.tree.root, 10).read()[0] == Throttling(1, 1, 1.0)


def test_group_of_another_container(mounted):
    """Out of the agent's own sight it is reached through the root of the process."""
    mounted.joins("0::/../c2\n")
    mounted.mounts("self", ("/", mounted.top, "cgroup2", "rw"))
    mounted.mounts("10", ("/../c2", "/sys/fs/cgroup", "cgroup2", "rw"))
    inside = mounted.tree.root / "10/root/sys/fs/cgroup"
    inside.mkdir(parents=True)
    (inside / "cpu.stat").write_text(V2.format(3, 2, 500_000))
    assert find_cpu_group(mounted.tree.root, 10).read() == (Throttling(3, 2, 0.5),)


def test_names_with_spaces(mounted):
    """Mount points are escaped."""
    mounted.joins("0::/\n")
    top = mounted.group("a b", cpu_stat=V2.format(1, 0, 0))
    mounted.mounts("self", ("/", str(top).replace(" ", "\\040"), "cgroup2", "rw"))
    assert find_cpu_group(mounted.tree.root, 10).folders == (str(top),)


@pytest.mark.parametrize("groups", ["", "0::/\n", "nonsense\n", "1:cpu:/a\n", "1:cpu\n"])
def test_nothing_to_be_seen(mounted, groups):
    """No mount, no group, no sense: not known."""
    mounted.joins(groups)
    assert find_cpu_group(mounted.tree.root, 10) is None
    mounted.mounts("self", ("/", "/nowhere", "cgroup2", "rw"))
    assert find_cpu_group(mounted.tree.root, 10) is None


def test_process_is_gone(tree):
    """Nothing is known of what is not there."""
    assert find_cpu_group(tree.root, 10) is None


@pytest.mark.parametrize("text", ["", "nr_periods x\nnr_throttled 1\n", "usage_usec 1\n", "\0\0"])
def test_damaged_accounts(mounted, text):
    """What makes no sense, or has no quota, tells nothing."""
    mounted.joins("0::/\n")
    mounted.mounts("self", ("/", mounted.top, "cgroup2", "rw"))
    mounted.group("", cpu_stat=text)
    assert find_cpu_group(mounted.tree.root, 10).read() == (None,)


def test_most_throttled():
    """The level that was held up longest is the one that counts; what only one reading has does not."""
    before = (Throttling(1, 1, 1.0), Throttling(5, 5, 5.0), None)
    after = (Throttling(3, 2, 1.2), Throttling(7, 7, 5.4), Throttling(9, 9, 9.0))
    assert most_throttled(before, after) == Throttling(2, 2, pytest.approx(0.4))
    assert most_throttled((), ()) is None
    assert most_throttled((None,), (None,)) is None
