"""One thread through a /proc of the tests' own: what is read when, and what may be missing or go away."""

import os
from pathlib import Path

import pytest

from vitalsd.sources.observer.calls import Calls
from vitalsd.sources.observer.events import Times
from vitalsd.sources.observer.thread import ThreadReader
from vitalsd.sources.room import Descriptors

from .conftest import OWN_FD, RUNNING, SLEEP


@pytest.fixture
def room():
    """Room for all descriptors."""
    return Descriptors(16)


@pytest.fixture
def reader(tree, room):
    """The reader of the one thread of a service."""
    tree.service()
    made = ThreadReader(f"{tree.root}/10", 10, Calls(), room, OWN_FD)
    yield made
    made.close()


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that are opened."""
    opened = []
    open_file = os.open

    def opening(path, *arguments, **options):
        opened.append(Path(path).name)
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(os, "open", opening)
    return opened


def test_idle_costs_two_reads(reader, reads):
    """All files stay open; a thread that has not run is asked once whether it was stopped."""
    assert reader.look(1.0, whole=False).doing == "loop"
    assert reads == ["syscall", "schedstat"]
    for at in (2.0, 3.0, 4.0):
        assert reader.look(at, whole=False).doing == "loop"
    assert reads == ["syscall", "schedstat", "stat"]


def test_all_that_is_counted(reader, tree):
    """A late thread is read as a whole."""
    reader.look(1.0, whole=False)
    late = {"syscall": "0 0x7 0x1", "cpu": 1_500_000_000, "waited": 250_000_000, "slices": 9, "state": "D"}
    tree.thread(10, **late, faults=4, voluntary=70, swap=16, tracer=99)
    tree.descriptor(10, 7, "socket:[55]")
    look = reader.look(2.0, whole=False)
    assert look.times == Times(1.5, 0.25, 70, 4, 16384)
    assert (look.at, look.doing, look.state, look.peer, look.traced) == (2.0, "disk", "D", "socket", True)
    assert look.ready_seconds == pytest.approx(1.749)


@pytest.mark.parametrize(("own", "peer"), [(OWN_FD, "another epoll"), (None, "eventpoll")])
def test_another_loop_of_the_same_thread(tree, room, own, peer):
    """Node waits for a command in a loop of its own, which only who knows the service's epoll tells from it."""
    tree.service()
    tree.thread(10, syscall=f"232 {OWN_FD + 3:#x} 0x1")
    tree.descriptor(10, OWN_FD + 3, "anon_inode:[eventpoll]")
    reader = ThreadReader(f"{tree.root}/10", 10, Calls("x86_64"), room, own)
    look = reader.look(1.0, whole=True)
    reader.close()
    assert (look.doing, look.peer) == ("call", peer)


def test_what_has_not_run_is_what_it_was(reader, tree):
    """A thread that waits in the same call and has not run is not read as a whole again; one that ran is."""
    tree.thread(10, syscall=SLEEP)
    first = reader.look(1.0, whole=True)
    again = reader.look(2.0, whole=True)
    assert (again.doing, again.times, again.ready_seconds) == (first.doing, first.times, 0.0)
    tree.thread(10, syscall=SLEEP, slices=6, voluntary=50)
    assert reader.look(3.0, whole=True).times.voluntary_switches == 50


def test_waiting_for_a_processor(reader, tree):
    """A thread that is ready and gets no processor has not run either, and is no longer in its epoll."""
    reader.look(1.0, whole=False)
    tree.thread(10, syscall=RUNNING, state="R")
    assert reader.look(2.0, whole=False).doing == "running"
    assert reader.look(3.0, whole=False).doing == "running"


@pytest.mark.parametrize("state", ["T", "t"])
def test_stopped_in_its_epoll(reader, tree, state):
    """It still shows the call, but its state is asked for when it has not run any more, and it stays stopped."""
    reader.look(1.0, whole=False)
    tree.thread(10, slices=6, state=state)
    reader.look(2.0, whole=False)
    look = reader.look(3.0, whole=False)
    assert (look.doing, look.state, look.earlier) == ("unknown", state, True)
    assert reader.look(4.0, whole=False).doing == "unknown"
    tree.thread(10, slices=7)
    assert reader.look(5.0, whole=False).doing == "loop"


@pytest.mark.parametrize("state", ["Z", "X"])
def test_dead(reader, tree, state):
    """What has ended and is still listed has no loop."""
    tree.thread(10, syscall="-1 0x0 0x0", state=state)
    assert reader.look(1.0, whole=False) is None


@pytest.mark.parametrize("name", ["syscall", "schedstat", "stat", "status"])
def test_gone_in_the_middle_of_a_look(reader, tree, monkeypatch, name):
    """Whichever file it is, a thread that goes while it is read raises nothing."""
    tree.thread(10, syscall=RUNNING, state="R")
    reader.look(1.0, whole=False)
    pread, inode = os.pread, (tree.root / f"10/task/10/{name}").stat().st_ino

    def fail(fd, *arguments):
        if os.fstat(fd).st_ino == inode:
            raise ProcessLookupError(3, "No such process")
        return pread(fd, *arguments)

    monkeypatch.setattr(os, "pread", fail)
    assert reader.look(2.0, whole=True) is None


def test_never_there(tree, room):
    """A thread that has gone before the first look."""
    tree.add(10)
    assert ThreadReader(f"{tree.root}/10", 10, Calls(), room).look(1.0, whole=True) is None


def test_refused(reader, monkeypatch, tree):
    """Without ptrace rights everything else is still there."""
    monkeypatch.setattr(os, "pread", _refusing(os.pread, tree.root / "10/task/10/syscall"))
    look = reader.look(1.0, whole=True)
    assert (look.doing, look.state, look.times.voluntary_switches) == ("unknown", "S", 1)
    assert reader.refused


def _refusing(pread, path):
    inode = path.stat().st_ino

    def refuse(fd, *arguments):
        if os.fstat(fd).st_ino == inode:
            raise PermissionError(1, "Operation not permitted")
        return pread(fd, *arguments)

    return refuse


def test_kernel_without_schedstat(reader, tree):
    """Zeros are no measurement; then the state is read at each look."""
    tree.thread(10, cpu=0, slices=0, state="T")
    assert reader.look(1.0, whole=False).state == "T"
    tree.thread(10, cpu=0, slices=0)
    assert reader.look(1.5, whole=False).doing == "loop"
    tree.thread(10, syscall=RUNNING, cpu=0, slices=0, state="R")
    look = reader.look(2.0, whole=False)
    assert (look.times.cpu_seconds, look.times.runqueue_seconds, look.ready_seconds) == (None, None, None)


def open_files():
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_room(tree):
    """Beyond what may be kept open, files are opened for each look; what is let go makes room."""
    tree.service()
    before = open_files()
    room = Descriptors(1)
    reader = ThreadReader(f"{tree.root}/10", 10, Calls(), room, OWN_FD)
    assert reader.look(1.0, whole=False).doing == "loop"
    assert (room.used, reader.pinned, open_files()) == (1, True, before + 1)
    other = ThreadReader(f"{tree.root}/10", 10, Calls(), room, OWN_FD)
    assert other.look(1.0, whole=False).doing == "loop"
    assert not other.pinned
    reader.close()
    assert (room.used, open_files()) == (0, before)


def test_long_status(reader, tree):
    """What is wanted of `status` comes after the groups, which have no end."""
    tree.thread(10, syscall=SLEEP, voluntary=77)
    status = tree.root / "10/task/10/status"
    status.write_text(status.read_text().replace("\nVmSwap", "\nGroups:\t" + "4711 " * 5000 + "\nVmSwap"))
    assert reader.look(1.0, whole=True).times.voluntary_switches == 77
