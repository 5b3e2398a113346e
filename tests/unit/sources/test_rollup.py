"""PSS and USS: what is read, of whom, when, and what is left alone."""

from __future__ import annotations

import os
import time

import pytest

from vitalsd.model import WorkerKey
from vitalsd.sources.rollup import MOST_SECONDS, PAGE_BYTES, PERIOD_SECONDS, REST, Rollup, Rollups

ROLLUP = """\
55d0c0a00000-7ffd00000000 ---p 00000000 00:00 0                          [rollup]
Rss:               20480 kB
Pss:               12000 kB
Pss_Dirty:          9000 kB
Pss_Anon:           9000 kB
Shared_Clean:       4096 kB
Private_Clean:      1024 kB
Private_Dirty:      8192 kB
Swap:                  0 kB
Private_Hugetlb:    2048 kB
"""
WHOLE = Rollup(12000 * 1024, (1024 + 8192 + 2048) * 1024)
KEY = WorkerKey(10, 1000)
LATER = 1000.0 + PERIOD_SECONDS


class Clocked:
    """Rollups of processes of 20 MiB that take as long to read as the test says."""

    def __init__(self, tree, monkeypatch):
        self.tree, self.took, self.reads = tree, 0.001, 0
        self.rollups = Rollups(2**30, self.start)
        self.waiting = []
        """What a thread was to do, where it does not get round to it."""
        self.locked = False
        self._cpu = 0.0
        monkeypatch.setattr(time, "thread_time", self._time)

    def start(self, read):
        """Read at once, or not at all."""
        if self.locked:
            self.waiting.append(read)
        else:
            read()

    def _time(self):
        """The clock is asked before and after each reading, and by nobody else."""
        self.reads += 1
        self._cpu += self.took if self.reads % 2 == 0 else 0.0
        return self._cpu

    def add(self, pid=10, *, text=ROLLUP, resident=20 * 2**20):
        """A process with a rollup."""
        self.tree.add(pid)
        (self.tree.root / str(pid) / "statm").write_text(f"9999 {resident // PAGE_BYTES} 5 1 0 2 0\n")
        if text is not None:
            (self.tree.root / str(pid) / "smaps_rollup").write_text(text)

    def read(self, now, key=KEY):
        """What is known of the process."""
        return self.rollups.read(f"{self.tree.root}/{key.pid}", key, now)


@pytest.fixture
def clocked(tree, monkeypatch):
    """One process, which has been seen."""
    made = Clocked(tree, monkeypatch)
    made.add()
    assert made.read(1000.0) == Rollup()
    return made


def test_whole(clocked):
    """Private pages of every kind are the process's own."""
    assert clocked.read(LATER) == WHOLE


def test_a_locked_memory_holds_up_nobody(clocked):
    """Whoever asks goes on, nobody else is read meanwhile, and it is told as soon as it is known."""
    clocked.locked = True
    other = WorkerKey(11, 1001)
    clocked.add(11)
    clocked.read(1000.0, other)
    assert clocked.read(LATER) == Rollup()
    assert clocked.read(LATER + 9, other) == Rollup()
    assert len(clocked.waiting) == 1
    assert "holds the lock" in clocked.read(LATER + 11).missing
    clocked.waiting.pop()()
    clocked.locked = False
    assert clocked.read(LATER + 12) == WHOLE
    assert clocked.read(LATER + 12, other) == WHOLE


def test_no_room_for_a_thread_is_told(clocked):
    """The limit of a container's pids is nothing to fail of."""

    def full(_read):
        raise RuntimeError("can't start new thread")

    clocked.rollups._start = full
    assert clocked.read(LATER).missing == "PSS is not read: can't start new thread"


def test_once_in_five_minutes(clocked, tree):
    """What has been read holds for five minutes, in which the file is not opened."""
    assert clocked.read(LATER) == WHOLE
    clocked.add(text=ROLLUP.replace("12000", "13000"))
    assert clocked.read(LATER + PERIOD_SECONDS - 0.1) == WHOLE
    assert clocked.read(LATER + PERIOD_SECONDS).proportional_bytes == 13000 * 1024
    assert clocked.reads == 4


def test_spread_over_rounds(clocked):
    """Workers that come together are not read together: of ten, one or two in any six seconds of a minute."""
    keys = [WorkerKey(pid, 1000) for pid in range(20, 30)]
    for key in keys:
        clocked.add(key.pid)
    counts = []
    for second in range(0, 66, 6):
        before = clocked.reads
        for key in keys:
            clocked.read(2000.0 + second, key)
        counts.append((clocked.reads - before) // 2)
    assert sum(counts) == len(keys)
    assert max(counts) <= 2


def test_rest_after_a_long_reading(clocked):
    """What has taken longer is read less often."""
    clocked.took = 0.02
    assert clocked.read(LATER) == WHOLE
    for after, reads in ((REST * 0.02 - 0.1, 2), (REST * 0.02 + 0.1, 4)):
        clocked.read(LATER + after)
        assert clocked.reads == reads


def test_too_long(clocked):
    """A reading that takes too long is the last of its process, and says why; another process is read."""
    clocked.took = 2 * MOST_SECONDS
    told = clocked.read(LATER)
    assert (told.proportional_bytes, told.unique_bytes) == (None, None)
    assert "took 100 ms, and the process may have waited for that: it is not read again" in told.missing
    assert clocked.read(LATER + 1e9) is told
    assert clocked.reads == 2
    clocked.took = 0.001
    other = WorkerKey(10, 2000)
    clocked.read(LATER, other)
    assert clocked.read(LATER + PERIOD_SECONDS, other) == WHOLE


def test_too_large(clocked):
    """Nothing is read of a process above the bound, which is asked again each minute and may be changed."""
    clocked.add(resident=2**30 + PAGE_BYTES)
    assert clocked.read(LATER).missing == (
        "PSS is not read of a process whose resident memory is above 1GiB (memory.smaps_max_size)"
    )
    assert clocked.reads == 0
    clocked.rollups.max_size_bytes *= 2
    assert clocked.read(LATER + PERIOD_SECONDS) == WHOLE


def test_switched_off(clocked):
    """A bound of nothing is nobody."""
    clocked.rollups.max_size_bytes = 0
    assert "above 0B" in clocked.read(LATER).missing
    assert clocked.reads == 0


def test_forbidden(clocked, monkeypatch):
    """A process of somebody else's says which permission lacks, and is asked again in five minutes."""
    opened, closed = os.open, True

    def guarded(path, *arguments, **options):
        if closed and str(path).endswith("/smaps_rollup"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", guarded)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    assert "/10/smaps_rollup may be read by uid" in clocked.read(LATER).missing
    assert "this agent is uid 4321: run it as uid" in clocked.read(LATER).missing
    closed = False
    clocked.reads = 0
    assert clocked.read(LATER + PERIOD_SECONDS) == WHOLE


def test_old_kernel(clocked, tree):
    """A kernel without the file is not asked again."""
    (tree.root / "10/smaps_rollup").unlink()
    assert "Linux 4.14" in clocked.read(LATER).missing
    clocked.add()
    assert "Linux 4.14" in clocked.read(LATER + PERIOD_SECONDS).missing


def test_gone(clocked, tree):
    """A process that has ended is no old kernel."""
    tree.remove(10)
    assert clocked.read(LATER) == Rollup()


@pytest.mark.parametrize("text", ["", "Pss: x kB\n", "[rollup]\nRss: 1 kB\n"])
def test_not_told(clocked, text):
    """What is not there is not known."""
    clocked.add(text=text)
    assert clocked.read(LATER) == Rollup()


def test_forgotten(clocked):
    """Nothing is kept of those that are gone."""
    clocked.read(LATER)
    clocked.rollups.forget({KEY, WorkerKey(99, 1)})
    assert (clocked.rollups._due, clocked.rollups._latest) == ({}, {})
