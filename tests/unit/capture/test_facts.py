"""What is known of a worker and its host, by a /proc of the test's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.proctree import ProcTree
from support.views import OBSERVED, SHOP

from vitalsd.capture.facts import free_bytes, read_facts
from vitalsd.capture.policy import Facts
from vitalsd.model import MemoryGroup, MemoryVitals, WorkerKey, WorkerSample

MIB = 1 << 20
STATUS = "VmSize:\t  204800 kB\nVmData:\t  102400 kB\nRssAnon:\t   51200 kB\nThreads:\t8\n"
WORKER = replace(OBSERVED, key=WorkerKey(50, 777), memory=None)
PRESSURE = "some avg10={} avg60=1.00 avg300=2.00 total=123\nfull avg10=77.00 avg60=0.00 avg300=0.00 total=0\n"


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    """A worker with 8 threads on a host that has 8 GiB left."""
    made = ProcTree(tmp_path / "proc")
    made.add(50, start=777, threads=8, status=STATUS, fds=12, max_fds="256")
    made.root.joinpath("pressure").mkdir()
    made.root.joinpath("pressure/cpu").write_text(PRESSURE.format("37.59"))
    made.root.joinpath("pressure/memory").write_text(PRESSURE.format("0.25"))
    made.root.joinpath("loadavg").write_text("1.43 0.93 1.07 6/1150 10246\n")
    made.root.joinpath("meminfo").write_text("MemTotal:  16777216 kB\nMemFree:  1 kB\nMemAvailable:  8388608 kB\n")
    return made


def facts(tree: ProcTree, worker: WorkerSample = WORKER, **more: Any) -> Facts:
    """What is read of it."""
    known: dict[str, Any] = {"late_seconds": None, "agent_late_seconds": 0.0, "free": None, "cores": 4}
    return read_facts(worker, proc=tree.root, **(known | more))


def test_everything(tree: ProcTree) -> None:
    """As it is told, all in one."""
    size = (tree.root / "50/fd").stat().st_size or 12
    told = facts(tree, late_seconds=0.5, agent_late_seconds=0.01, free=7)
    assert told == Facts(
        state="S",
        threads=8,
        late_seconds=0.5,
        heap_bytes=50 * MIB,
        left_bytes=8192 * MIB,
        left_of="the host's memory",
        open_fds=size,
        max_fds=256,
        cpu_pressure_percent=37.59,
        memory_pressure_percent=0.25,
        load=1.43,
        cores=4,
        agent_late_seconds=0.01,
        free_bytes=7,
    )


@pytest.mark.parametrize("state", ["Z", "X"])
def test_one_that_has_ended(tree: ProcTree, state: str) -> None:
    """Its pid may be somebody else's by now, or nobody has taken note of its end."""
    tree.add(50, start=777, state=state)
    assert facts(tree) == Facts(state=None)
    tree.add(50, start=778)
    assert facts(tree) == Facts(state=None)
    tree.remove(50)
    assert facts(tree) == Facts(state=None)
    assert facts(tree, replace(WORKER, key=None)) == Facts(state=None)


def test_one_that_is_stopped(tree: ProcTree) -> None:
    """The kernel's letter, be there what it may in the name of the process."""
    tree.add(50, start=777, state="T", name="a) R (b")
    assert facts(tree).state == "T"


def test_what_cannot_be_read_is_not_known(tree: ProcTree) -> None:
    """A kernel without pressure, a process of another user's; what the sample knows is better than nothing."""
    for name in ("pressure/cpu", "pressure/memory", "loadavg", "meminfo", "50/status", "50/limits"):
        tree.root.joinpath(name).unlink()
    tree.root.joinpath("50/fd").rename(tree.root / "50/elsewhere")
    assert WORKER.process is not None
    worker = replace(WORKER, process=replace(WORKER.process, anonymous_bytes=3 * MIB, open_fds=9))
    told = facts(tree, worker)
    assert told == Facts(state="S", threads=8, heap_bytes=3 * MIB, open_fds=9, cores=4)
    assert facts(tree, replace(WORKER, process=None)) == Facts(state="S", threads=8, cores=4)


@pytest.mark.parametrize("text", ["", "garbage", "some avg10=1.2.3 x\n", "some avg10= avg60=1\n"])
def test_what_is_no_number_is_not_known(tree: ProcTree, text: str) -> None:
    """Whatever a file holds."""
    tree.root.joinpath("pressure/cpu").write_text(text)
    tree.root.joinpath("loadavg").write_text(text)
    told = facts(tree)
    assert (told.cpu_pressure_percent, told.load) == (None, None)


def test_the_heap_is_the_probes(tree: ProcTree) -> None:
    """What lives in the interpreter, where that is told."""
    probed = SHOP.workers[0]
    assert probed.probe is not None and probed.probe.heap_used_bytes is not None
    told = facts(tree, replace(probed, key=WorkerKey(50, 777)))
    assert told.heap_bytes == probed.probe.heap_used_bytes


def test_the_limit_that_is_met_first(tree: ProcTree) -> None:
    """Of the control group, of the process itself, or of the host; and whose it is."""
    group = MemoryVitals(group=MemoryGroup("/shop", headroom_bytes=300 * MIB))
    worker = replace(WORKER, memory=group)
    assert (facts(tree, worker).left_bytes, facts(tree, worker).left_of) == (300 * MIB, "its memory limit")
    limits = tree.root / "50/limits"
    before = limits.read_text()
    limits.write_text(before + f"Max address space         {250 * MIB}            unlimited            bytes\n")
    assert (facts(tree, worker).left_bytes, facts(tree, worker).left_of) == (
        50 * MIB,
        "its address space (RLIMIT_AS)",
    )
    limits.write_text(before + f"Max data size             {90 * MIB}            unlimited            bytes\n")
    assert (facts(tree, worker).left_bytes, facts(tree, worker).left_of) == (-10 * MIB, "its data (RLIMIT_DATA)")


def test_of_this_very_process() -> None:
    """The kernel's own files are read as they are."""
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    me = replace(WORKER, key=WorkerKey(os.getpid(), int(stat[19])))
    told = read_facts(me, late_seconds=None, agent_late_seconds=0.0, free=None)
    assert told.state in ("R", "S") and told.threads and told.heap_bytes and told.left_bytes
    assert told.load is not None and told.open_fds and told.max_fds


def test_free_bytes(tmp_path: Path) -> None:
    """Of the disk that a folder lies on, or will."""
    disk = os.statvfs(tmp_path)
    told = free_bytes(tmp_path / "not" / "yet")
    assert told is not None and abs(told - disk.f_bavail * disk.f_frsize) < 1 << 30
    (tmp_path / "file").touch()
    assert free_bytes(tmp_path / "file" / "below") is None
