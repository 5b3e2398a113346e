"""How long a worker was kept from the processor: what its thread waited, and what its group's quota has cost."""

import os

import pytest
from support.groups import Groups

from vitalsd.model import CpuVitals, WorkerKey
from vitalsd.sources.cgroup.places import PLACE_SECONDS
from vitalsd.sources.cpu import NO_SCHEDSTAT, OWN_SECONDS, CpuSource
from vitalsd.sources.registry import Worker

QUOTA = "usage_usec 9\nnr_periods 20\nnr_throttled 10\nthrottled_usec {}\n"


class Clock:
    """CLOCK_MONOTONIC, as a test sets it."""

    now = 0.0

    def __call__(self):
        """Now."""
        return self.now


@pytest.fixture
def clock():
    """The time."""
    return Clock()


@pytest.fixture
def mounted(tree, tmp_path):
    """Two processes in one group of version 2, and what is above it."""
    made = Groups(tree, tmp_path / "cg")
    made.mounts("self", ("/", made.top, "cgroup2", "rw"))
    tree.add(11)
    for pid in (10, 11):
        made.joins("0::/pod/web\n", pid)
        schedstat(tree, pid, 1_500_000_000)
    made.group("", cpu_stat="usage_usec 12\n")
    made.group("pod", cpu_stat=QUOTA.format(4_000_000))
    made.group("pod/web", cpu_stat=QUOTA.format(2_500_000))
    return made


@pytest.fixture
def source(tree, clock):
    """The source, on the test's own /proc."""
    return CpuSource(tree.root, clock)


def schedstat(tree, pid, waited_ns):
    """What the kernel keeps of the main thread of a process."""
    (tree.root / f"{pid}/schedstat").write_text(f"9 {waited_ns} 3\n")


def read(source, pid=10, missing=None):
    """One reading."""
    return source.read(Worker("shop", WorkerKey(pid, 1000), None), {} if missing is None else missing)


def test_waits_and_throttling(source, mounted):
    """The group that has told most counts, be it the worker's own or one above it."""
    missing = {}
    assert (read(source, missing=missing), missing) == (CpuVitals(1.5, 4.0), {})


def test_no_quota(source, mounted):
    """Where no group keeps such an account it is not known, and never 0."""
    for name in ("pod", "pod/web"):
        mounted.group(name, cpu_stat="usage_usec 5\n")
    assert read(source).throttled_seconds is None


def test_one_reading_for_all_of_a_group(source, mounted, clock, tree):
    """It is up to a second old, and the same for everybody in it; the waits are each one's own."""
    assert read(source).throttled_seconds == 4.0
    mounted.group("pod", cpu_stat=QUOTA.format(6_000_000))
    schedstat(tree, 11, 7_000_000_000)
    assert read(source, 11) == CpuVitals(7.0, 4.0)
    clock.now = OWN_SECONDS
    assert [read(source, pid).throttled_seconds for pid in (10, 11)] == [6.0, 6.0]


def test_another_group(source, mounted, clock):
    """A process that is moved is accounted for elsewhere within a minute."""
    mounted.group("other", cpu_stat=QUOTA.format(9_000_000))
    read(source)
    mounted.joins("0::/other\n")
    clock.now = PLACE_SECONDS - 1
    assert read(source).throttled_seconds == 4.0
    clock.now = PLACE_SECONDS
    assert read(source).throttled_seconds == 9.0


def test_group_out_of_sight(source, mounted, tree):
    """It says what is in the way, and costs nothing else."""
    mounted.mounts("self")
    missing = {}
    assert read(source, missing=missing) == CpuVitals(1.5, None)
    assert "cpu is mounted neither here" in missing["cpu.throttled_seconds"]


def test_kernel_without_schedstat(source, mounted, tree):
    """It says so, and throttling is known all the same; of a process that has gone nothing is."""
    (tree.root / "10/schedstat").unlink()
    missing = {}
    assert (read(source, missing=missing), missing) == (
        CpuVitals(None, 4.0),
        {"cpu.runqueue_seconds": NO_SCHEDSTAT},
    )
    tree.remove(10)
    with pytest.raises(FileNotFoundError):
        read(source)


def test_this_process():
    """Of a real one, on the machine's own files."""
    taken = CpuSource().read(Worker("test", WorkerKey(os.getpid(), 0), None), {})
    assert taken.runqueue_seconds is None or taken.runqueue_seconds >= 0.0
