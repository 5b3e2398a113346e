"""The memory source: whose limit is the least, what is told as missing, and what is asked how often."""

from __future__ import annotations

import os

import pytest
from msgspec import convert
from support.groups import PID, Groups

from vitalsd.model import MemoryGroup, MemoryVitals, WorkerKey
from vitalsd.settings.model import Settings
from vitalsd.sources.cgroup.places import KEPT_SECONDS, PLACE_SECONDS
from vitalsd.sources.memory import MemorySource
from vitalsd.sources.registry import Worker, execute
from vitalsd.sources.rollup import PAGE_BYTES, PERIOD_SECONDS

MIB = 2**20
LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max data size             {data:<20} unlimited            bytes
Max open files            1024                 4096                 files
Max address space         {address_space:<20} unlimited            bytes
"""
WORKER = Worker("shop", WorkerKey(PID, 1000), None)


class Watched:
    """One process in a group with a limit of 256 MiB, of which 30 are used."""

    def __init__(self, tree, top):
        self.now = 1000.0
        self.groups = Groups(tree, top)
        self.tree = tree
        self.groups.mounts("self", ("/", top, "cgroup2", "rw"))
        self.joins("web", limit=256 * MIB)
        self.limits()
        (tree.root / f"{PID}/statm").write_text(f"999 {20 * MIB // PAGE_BYTES} 0 0 0 0 0\n")
        (tree.root / f"{PID}/smaps_rollup").write_text("Pss: 2048 kB\nPrivate_Dirty: 1024 kB\n")
        self.source = MemorySource(tree.root, clock=lambda: self.now, start=lambda read: read())

    def joins(self, name, limit):
        """Have the process in a group."""
        self.groups.group(name, memory_max=limit, memory_current=40 * MIB, memory_stat=f"inactive_file {10 * MIB}")
        self.groups.joins(f"0::/{name}\n")

    def limits(self, address_space="unlimited", data="unlimited"):
        """Set the process's own limits."""
        text = LIMITS.format(address_space=address_space, data=data)
        (self.tree.root / f"{PID}/limits").write_text(text)

    def read(self, after=0.0, worker=WORKER):
        """What is known, and what is missing."""
        self.now += after
        missing = {}
        return self.source.read(worker, missing), missing


@pytest.fixture
def watched(tree, tmp_path):
    """One process in a group with a limit."""
    return Watched(tree, tmp_path / "cg")


def test_whole(watched):
    """Limit and accounts at once, PSS within five minutes."""
    group = MemoryGroup(
        "/web",
        limit_bytes=256 * MIB,
        used_bytes=40 * MIB,
        working_set_bytes=30 * MIB,
        headroom_bytes=226 * MIB,
    )
    assert watched.read() == (MemoryVitals(256 * MIB, "group", group), {})
    expected = MemoryVitals(256 * MIB, "group", group, 2 * MIB, MIB)
    assert watched.read(after=PERIOD_SECONDS) == (expected, {})


@pytest.mark.parametrize(
    ("own", "limit", "kind"),
    [
        ({}, 256, "group"),
        ({"address_space": 128 * MIB}, 128, "address_space"),
        ({"data": 64 * MIB, "address_space": 128 * MIB}, 64, "data"),
        ({"data": 512 * MIB}, 256, "group"),
    ],
)
def test_least_limit(watched, own, limit, kind):
    """A limit of the process's own counts when it is the least."""
    watched.limits(**own)
    told, _ = watched.read()
    assert (told.limit_bytes, told.limit_kind) == (limit * MIB, kind)


def test_no_limit_at_all(watched):
    """A process that may have what there is has no limit, and nothing is missing."""
    watched.joins("web", limit="max")
    told, missing = watched.read()
    assert (told.limit_bytes, told.limit_kind, told.group.used_bytes, missing) == (None, None, 40 * MIB, {})


def test_no_group(watched):
    """In no group that accounts for it, a process has its own limits alone."""
    watched.groups.joins("0::/\n")
    watched.limits(address_space=MIB)
    assert watched.read() == (MemoryVitals(MIB, "address_space"), {})


def test_group_out_of_reach(watched):
    """What keeps this agent from the group is told, in every round; what else is known stays."""
    watched.groups.joins("0::/../other\n")
    (watched.tree.root / f"{PID}/root").symlink_to("/")
    for after in (0.0, 2.0):
        told, missing = watched.read(after)
        assert (told.group, told.limit_bytes) == (None, None)
        assert missing.keys() == {"memory.group"}
        assert "mounted neither here nor where the process runs" in missing["memory.group"]


@pytest.mark.parametrize(("file", "field"), [("limits", "limit_bytes"), ("smaps_rollup", "proportional_bytes")])
def test_forbidden(watched, monkeypatch, file, field):
    """A file that may not be read costs what it tells, and says which permission lacks."""
    opened = os.open

    def guarded(path, *arguments, **options):
        if str(path).endswith(f"/{file}"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", guarded)
    watched.read()
    told, missing = watched.read(after=PERIOD_SECONDS)
    assert (told.limit_bytes, missing.keys()) == (256 * MIB, {f"memory.{field}"})
    assert f"{PID}/{file} may be read by uid" in missing[f"memory.{field}"]


def test_moved_to_another_group(watched):
    """A process that is moved, as systemd does after the start, is found again within a minute."""
    watched.read()
    watched.joins("later", limit=64 * MIB)
    watched.limits(data=32 * MIB)
    assert watched.read(after=PLACE_SECONDS - 1)[0].limit_bytes == 256 * MIB
    told, _ = watched.read(after=1)
    assert (told.group.name, told.group.limit_bytes, told.limit_bytes) == ("/later", 64 * MIB, 32 * MIB)


def test_limit_that_is_changed(watched):
    """A limit raised while the service runs is known within a minute."""
    watched.read()
    watched.joins("web", limit=512 * MIB)
    assert watched.read(after=PLACE_SECONDS)[0].limit_bytes == 512 * MIB


def test_gone(watched):
    """A process that has ended reads as nothing, and nothing is wrong."""
    watched.tree.remove(PID)
    outcome = execute(watched.source, WORKER, {})
    assert (outcome.value, outcome.problem) == (None, None)


def test_forgotten(watched):
    """Nothing is kept of workers that are gone."""
    watched.read()
    watched.tree.add(11)
    watched.groups.joins("0::/web\n", pid=11)
    other = WorkerKey(11, 1000)
    watched.read(after=PLACE_SECONDS + KEPT_SECONDS, worker=Worker("shop", other, None))
    assert watched.source._places._known.keys() == watched.source._rollups._due.keys() == {other}


def test_bound_of_the_configuration(watched):
    """`memory.smaps_max_size` holds from the next reading on."""
    watched.source.reconfigure(convert({"memory": {"smaps_max_size": 10 * MIB}}, Settings))
    watched.read()
    told, missing = watched.read(after=PERIOD_SECONDS)
    assert told.proportional_bytes is None
    assert "above 10MiB (memory.smaps_max_size)" in missing["memory.proportional_bytes"]
