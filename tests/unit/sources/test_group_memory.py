"""Memory accounts of control groups of both versions: limits, headroom, kills, and who reads what how often."""

from __future__ import annotations

import os
import shutil

import pytest
from support.groups import PID, Groups

from vitalsd.model import MemoryGroup
from vitalsd.sources.cgroup.finder import Group, Level, UnseenGroupError
from vitalsd.sources.cgroup.memory import (
    ABOVE_SECONDS,
    LIMITS_SECONDS,
    OWN_SECONDS,
    MemoryAccounts,
    find_memory_group,
)

MIB = 2**20
NONE_V1 = 9223372036854771712
EVENTS = "low 0\nhigh {high}\nmax {max}\noom {oom}\noom_kill {oom_kill}\noom_group_kill 0"
STAT_V1 = (
    "cache 1\nhierarchical_memory_limit {limit}\nhierarchical_memsw_limit {both}\n"
    "total_inactive_file {inactive}\ntotal_active_file 4194304"
)


@pytest.fixture
def groups(tree, tmp_path):
    """A /proc with one process, and control groups."""
    return Groups(tree, tmp_path / "cg")


@pytest.fixture
def v2(groups):
    """Version 2 as a host has it; the process is in /shop.slice/web."""
    groups.joins("0::/shop.slice/web\n")
    groups.mounts("self", ("/", groups.top, "cgroup2", "rw"))
    unified(groups, "shop.slice")
    unified(groups, "shop.slice/web")
    return groups


@pytest.fixture
def v1(groups):
    """Version 1 as a host has it, beside a version 2 without controllers; the process is in /docker/web."""
    groups.joins("9:name=systemd:/x\n4:memory:/docker/web\n0::/\n")
    groups.mounts("self", ("/", "/nowhere", "cgroup2", "rw"), ("/", groups.top, "cgroup", "rw,memory"))
    for name in ("", "docker", "docker/web"):
        legacy(groups, name)
    return groups


def unified(groups, name, *, limit="max", swap="max", high="max", used=100, inactive=30, active=0, events=None):
    """A group of version 2; sizes in MiB, `max` is no limit."""
    groups.group(
        name,
        memory_max=size(limit),
        memory_swap__max=size(swap),
        memory_high=size(high),
        memory_current=size(used),
        memory_stat=f"anon 5\ninactive_file {size(inactive)}\nactive_file {size(active)}",
        memory_events=EVENTS.format(**({"high": 0, "max": 0, "oom": 0, "oom_kill": 0} | (events or {}))),
    )


def legacy(groups, name, *, limit=None, both=None, used=100, inactive=30, above=None, above_both=None, **files):
    """A group of version 1; sizes in MiB, None is no limit."""
    stat = STAT_V1.format(
        limit=NONE_V1 if above is None else size(above),
        both=NONE_V1 if above_both is None else size(above_both),
        inactive=size(inactive),
    )
    given = {
        "memory_limit_in_bytes": NONE_V1 if limit is None else size(limit),
        "memory_memsw__limit_in_bytes": NONE_V1 if both is None else size(both),
        "memory_usage_in_bytes": size(used),
        "memory_stat": stat,
        "memory_oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0",
        "memory_failcnt": 0,
        "memory_use_hierarchy": 1,
        **files,
    }
    groups.group(name, **given)


def size(mib):
    """Bytes, or the word as it is."""
    return mib if isinstance(mib, str) else mib * MIB


def read(groups, accounts=None, now=1000.0):
    """What the process's group says."""
    group = find_memory_group(groups.tree.root, PID)
    return (accounts or MemoryAccounts()).read(group, now)


def test_v2(v2):
    """Everything that a group of version 2 tells."""
    events = {"high": 7, "max": 5, "oom": 3, "oom_kill": 2}
    unified(v2, "shop.slice/web", limit=256, swap=64, high=200, used=120, inactive=20, active=8, events=events)
    assert read(v2) == MemoryGroup(
        name="/shop.slice/web",
        limit_bytes=256 * MIB,
        swap_limit_bytes=64 * MIB,
        high_bytes=200 * MIB,
        used_bytes=120 * MIB,
        working_set_bytes=100 * MIB,
        headroom_bytes=156 * MIB,
        left_bytes=164 * MIB,
        oom_kills=2,
        ooms=3,
        limit_hits=5,
        high_hits=7,
    )


def test_v1(v1):
    """Everything that a group of version 1 tells; what it has no word for is not known."""
    legacy(
        v1,
        "docker/web",
        limit=256,
        both=320,
        above=256,
        above_both=320,
        used=120,
        inactive=20,
        memory_oom_control="oom_kill_disable 0\nunder_oom 1\noom_kill 2",
        memory_failcnt=2,
        memory_memsw__failcnt=3,
    )
    assert read(v1) == MemoryGroup(
        name="/docker/web",
        limit_bytes=256 * MIB,
        swap_limit_bytes=64 * MIB,
        used_bytes=120 * MIB,
        working_set_bytes=100 * MIB,
        headroom_bytes=156 * MIB,
        left_bytes=160 * MIB,
        oom_kills=2,
        limit_hits=5,
    )


def test_what_is_left_in_v1_is_without_the_kernel(v1):
    """It does not tell which of its memory it would take back."""
    legacy(v1, "docker/web", limit=256, used=200, inactive=20)
    assert read(v1).left_bytes == 80 * MIB
    legacy(v1, "docker/web", limit=256, used=200, inactive=20, memory_kmem__usage_in_bytes=50 * MIB)
    assert read(v1).left_bytes == 130 * MIB


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_no_limit(version, request):
    """A group without a limit has none, be the host as small as it may; what it uses is known all the same."""
    told = read(request.getfixturevalue(version))
    assert (told.limit_bytes, told.swap_limit_bytes, told.high_bytes, told.headroom_bytes) == (
        None,
        None,
        None,
        None,
    )
    assert (told.used_bytes, told.working_set_bytes, told.oom_kills) == (100 * MIB, 70 * MIB, 0)


def test_least_of_all_levels(v2):
    """A limit above the group holds for it as well, the least of them first, each kind by itself."""
    unified(v2, "shop.slice/web", limit=512, swap=0, high="max")
    unified(v2, "shop.slice", limit=384, swap=128, high=300)
    told = read(v2)
    assert (told.limit_bytes, told.swap_limit_bytes, told.high_bytes) == (384 * MIB, 0, 300 * MIB)
    unified(v2, "shop.slice", limit=1024)
    assert read(v2).limit_bytes == 512 * MIB


def test_headroom_is_that_of_the_limit_met_first(v2):
    """Neighbours that fill a common group leave less room than the group's own, lower limit."""
    unified(v2, "shop.slice/web", limit=256, used=100, inactive=30)
    unified(v2, "shop.slice", limit=1024, used=1000, inactive=10)
    told = read(v2)
    assert (told.limit_bytes, told.headroom_bytes, told.left_bytes) == (256 * MIB, 34 * MIB, 34 * MIB)
    unified(v2, "shop.slice", limit=1024, used=1025, inactive=0)
    assert (read(v2).headroom_bytes, read(v2).left_bytes) == (0, 0)


def test_what_is_left_is_without_files(v2):
    """The kernel takes their pages back before it kills: a group full of them is not short of memory."""
    unified(v2, "shop.slice/web", limit=256, used=250, inactive=10, active=180)
    told = read(v2)
    assert (told.headroom_bytes, told.left_bytes) == (16 * MIB, 196 * MIB)
    stat = f"inactive_file {10 * MIB}\nactive_file {80 * MIB}\nslab_reclaimable {70 * MIB}\nslab_unreclaimable 9\n"
    (v2.top / "shop.slice/web/memory.stat").write_text(stat)
    assert read(v2).left_bytes == 166 * MIB
    (v2.top / "shop.slice/web/memory.stat").write_text(f"inactive_file {10 * MIB}\n")
    told = read(v2)
    assert (told.headroom_bytes, told.left_bytes) == (16 * MIB, None)


def test_limit_out_of_sight(v1):
    """Version 1 tells limits of groups that cannot be seen; what those use is not known, nor what is left."""
    legacy(v1, "docker/web", limit=512, above=384, above_both=400)
    told = read(v1)
    assert (told.limit_bytes, told.swap_limit_bytes, told.headroom_bytes) == (384 * MIB, 16 * MIB, None)


def test_use_that_is_not_known(v2):
    """A level with a limit whose use cannot be read leaves the headroom open."""
    unified(v2, "shop.slice/web", limit=256)
    unified(v2, "shop.slice", limit=512)
    (v2.top / "shop.slice/memory.stat").unlink()
    told = read(v2)
    assert (told.limit_bytes, told.headroom_bytes) == (256 * MIB, None)


def test_v1_group_that_does_not_count_its_children(v1):
    """Where use_hierarchy is off, the limit of a group is none of its children's."""
    legacy(v1, "docker", limit=64, memory_use_hierarchy=0)
    legacy(v1, "", limit=32)
    assert read(v1).limit_bytes is None
    legacy(v1, "docker", limit=64)
    assert read(v1).limit_bytes == 32 * MIB


def test_v1_without_swap_accounts(v1):
    """A kernel that does not count swap has no files for it."""
    for folder in ("docker/web", "docker", ""):
        (v1.top / folder / "memory.memsw.limit_in_bytes").unlink()
    legacy_stat = f"hierarchical_memory_limit {256 * MIB}\ntotal_inactive_file 0"
    v1.group("docker/web", memory_limit_in_bytes=256 * MIB, memory_stat=legacy_stat)
    told = read(v1)
    assert (told.limit_bytes, told.swap_limit_bytes) == (256 * MIB, None)


def test_v1_of_old_kernels(v1):
    """Kills are counted since Linux 4.13."""
    v1.group("docker/web", memory_oom_control="oom_kill_disable 0\nunder_oom 0")
    assert read(v1).oom_kills is None


def test_controller_that_is_off_in_the_group(v2):
    """A group without the controller is accounted for by the next one above that has it."""
    shutil.rmtree(v2.top / "shop.slice/web")
    v2.group("shop.slice/web", cpu_stat="usage_usec 1")
    unified(v2, "shop.slice", limit=256)
    told = read(v2)
    assert (told.name, told.limit_bytes) == ("/shop.slice", 256 * MIB)


@pytest.mark.parametrize("listed", ["0::/\n", "", "1:name=systemd:/\n"])
def test_no_group(groups, listed):
    """The root of version 2 keeps no accounts, and some kernels have no groups at all: there is no limit."""
    groups.joins(listed)
    groups.group("", cpu_stat="usage_usec 1")
    groups.mounts("self", ("/", groups.top, "cgroup2", "rw"))
    assert find_memory_group(groups.tree.root, PID) is None


def test_root_of_v1(v1):
    """The root of version 1 has accounts and no limit."""
    v1.joins("4:memory:/\n0::/\n")
    told = read(v1)
    assert (told.name, told.limit_bytes, told.used_bytes) == ("/", None, 100 * MIB)


def test_container_of_its_own_namespace(groups):
    """In the same container the group is the root of the mount, and is the one with the limit."""
    groups.joins("0::/\n")
    groups.mounts("self", ("/", groups.top, "cgroup2", "rw"))
    unified(groups, "", limit=256)
    assert read(groups).limit_bytes == 256 * MIB


def test_group_of_another_container(groups):
    """Seen through the root of its process, under a name that all processes of that container have."""
    groups.joins("0::/../c2\n")
    groups.mounts("self", ("/", groups.top, "cgroup2", "rw"))
    groups.mounts(str(PID), ("/../c2", "/sys/fs/cgroup", "cgroup2", "rw"))
    unified(groups, "", limit=64)
    unified(groups, groups.tree.root / f"{PID}/root/sys/fs/cgroup", limit=256)
    told = read(groups)
    assert (told.name, told.limit_bytes) == ("/../c2", 256 * MIB)


def test_root_of_the_process_is_closed(groups, monkeypatch):
    """A container that may not be looked into: which permission lacks."""
    groups.joins("0::/../c2\n")
    groups.mounts("self", ("/", groups.top, "cgroup2", "rw"))

    def forbidden(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "readlink", forbidden)
    with pytest.raises(UnseenGroupError, match=r"not mounted here, and .*/10/root may be read by uid"):
        find_memory_group(groups.tree.root, PID)


def test_mounted_nowhere(groups):
    """A group that exists and is mounted neither here nor there: what to do."""
    groups.joins("4:memory:/docker/web\n")
    (groups.tree.root / str(PID) / "root").symlink_to("/")
    with pytest.raises(
        UnseenGroupError, match="for memory is mounted neither here nor where the process runs: mount"
    ):
        find_memory_group(groups.tree.root, PID)


def test_process_is_gone(groups):
    """Whoever has ended has no file to read, which is told as such."""
    with pytest.raises(FileNotFoundError):
        find_memory_group(groups.tree.root, 11)


@pytest.mark.parametrize("text", ["", "x", "-1", "inactive_file", "oom_kill x\nmax", "\0\0", "\n\n"])
def test_damaged(v2, text):
    """What makes no sense is not known, and nothing else suffers."""
    everything = ("current", "max", "high", "swap.max", "stat", "events")
    for name in everything:
        (v2.top / f"shop.slice/web/memory.{name}").write_text(text)
    assert read(v2) == MemoryGroup("/shop.slice/web")


def test_gone_meanwhile(v2):
    """A group that is removed between two readings tells nothing any more."""
    group = find_memory_group(v2.tree.root, PID)
    shutil.rmtree(v2.top / "shop.slice")
    assert MemoryAccounts().read(group, 1000.0) == MemoryGroup("/shop.slice/web")


def test_how_old_it_may_be(v2):
    """The group itself is read once a second, what others above it use once in ten, and limits once a minute."""
    unified(v2, "shop.slice/web", limit=256, used=100, inactive=0)
    unified(v2, "shop.slice", limit=1024, used=900, inactive=0)
    accounts = MemoryAccounts()

    def seen(now):
        told = read(v2, accounts, now)
        return tuple(number // MIB for number in (told.limit_bytes, told.used_bytes, told.headroom_bytes))

    assert seen(1000.0) == (256, 100, 124)
    unified(v2, "shop.slice/web", limit=128, used=120, inactive=0)
    unified(v2, "shop.slice", limit=1024, used=1000, inactive=0)
    assert seen(1000.0 + OWN_SECONDS - 0.1) == (256, 100, 124)
    assert seen(1000.0 + OWN_SECONDS) == (256, 120, 124)
    assert seen(1000.0 + ABOVE_SECONDS) == (256, 120, 24)
    assert seen(1000.0 + LIMITS_SECONDS) == (128, 120, 8)


def test_shared_by_its_processes(v2, tmp_path):
    """Two processes of one container ask for the same group by different paths: it is read once."""
    unified(v2, "shop.slice/web", limit=256)
    accounts = MemoryAccounts()
    first = accounts.read(Group(2, (Level("/../c2", f"{v2.top}/shop.slice/web"),)), 1000.0)
    assert accounts.read(Group(2, (Level("/../c2", str(tmp_path / "nowhere")),)), 1000.5) is first
    assert first.limit_bytes == 256 * MIB


def test_nobody_asks_any_more(v2):
    """Groups of services that are gone are forgotten."""
    unified(v2, "shop.slice/web", limit=256)
    accounts = MemoryAccounts()
    read(v2, accounts, 1000.0)
    other = Group(2, (Level("/other", f"{v2.top}/shop.slice"),))
    for now in (1030.0, 1061.0, 1122.0):
        accounts.read(other, now)
    assert {*accounts._answers, *accounts._uses, *accounts._limits} == {"/other"}
