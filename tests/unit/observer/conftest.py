"""Loops that are looked at on a clock of the tests' own, and a /proc with threads in it."""

from __future__ import annotations

import pytest
from support.proctree import ProcTree

from vitalsd.model import WorkerKey
from vitalsd.sources.observer import calls as calls_module
from vitalsd.sources.observer.events import Followed, Look, Times
from vitalsd.sources.observer.observer import Observer
from vitalsd.sources.observer.outside import Outside

EPOLL = "232 0x6 0x7f00 0x1 0x3e8 0x0 0x0 0x7ffd 0x7f21"
SLEEP = "230 0x1 0x1 0x7ffd 0x0 0x0 0x0 0x7ffd 0x7f21"
RUNNING = "running"
OWN_FD = 6


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """The numbers of x86-64, whatever the tests run on."""
    init = calls_module.Calls.__init__
    monkeypatch.setattr(calls_module.Calls, "__init__", lambda self, machine="x86_64": init(self, machine))


class Loop:
    """One loop without a probe, looked at on a clock that the looks themselves move."""

    def __init__(self, threshold=0.1):
        self.machine = Outside(threshold)
        self.now = 1000.0
        self.switches = 0
        self.ended = []

    def look(self, doing, *, after=0.05, switches=0, state="S", peer=None, ready=None, times=1, turn=None):
        """Look `times` times, each so long after the one before; the answer is what ended last."""
        found = None
        for _ in range(times):
            self.now += after
            self.switches += switches
            counted = Times(voluntary_switches=self.switches) if doing != "loop" else None
            look = Look(self.now, doing, state, counted, peer, ready_seconds=ready, turn=turn)
            found = self.machine.look(look)
            if found is not None:
                self.ended.append(found)
        return found

    def stall(self, doing, looks, **more):
        """Idle, then this at two ordinary and so many frequent looks, then idle again."""
        self.look("loop", times=2)
        self.look(doing, times=2, **more)
        self.look(doing, after=0.005, times=looks, **more)
        return self.look("loop", after=0.005)

    @property
    def books(self):
        """The books up to now."""
        return self.machine.observed(10)


@pytest.fixture
def loop():
    """A loop that has been idle so far."""
    made = Loop()
    made.look("loop")
    return made


class ThreadTree(ProcTree):
    """A /proc with threads."""

    def __init__(self, root):
        super().__init__(root)
        (root / "pressure").mkdir()
        self.pressure(0, 0)

    def pressure(self, cpu, memory):
        """Set what the host's pressure has come to, in microseconds."""
        for name, total in (("cpu", cpu), ("memory", memory)):
            text = f"some avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n"
            (self.root / "pressure" / name).write_text(text + text.replace("some", "full"))

    def thread(self, pid, tid=None, syscall=EPOLL, *, cpu=1_000_000, waited=0, slices=5, state="S", **more):
        """Set what a thread is doing and what has been counted of it."""
        folder = self.root / str(pid) / "task" / str(tid or pid)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "syscall").write_text(syscall + "\n")
        (folder / "schedstat").write_text(f"{cpu} {waited} {slices}\n")
        faults = more.get("faults", 0)
        (folder / "stat").write_text(f"{tid or pid} (py thon) {state} 1 1 1 0 -1 0 7 0 {faults} 0 1 2\n")
        (folder / "status").write_text(
            f"Name:\tpython\nNSpid:\t{more.get('inner', tid or pid)}\nTracerPid:\t{more.get('tracer', 0)}\n"
            f"VmSwap:\t{more.get('swap', 0)} kB\nvoluntary_ctxt_switches:\t{more.get('voluntary', 1)}\n"
            "nonvoluntary_ctxt_switches:\t0\n"
        )

    def descriptor(self, pid, number, target):
        """Let a descriptor lead somewhere."""
        path = self.root / str(pid) / "fd" / str(number)
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    def service(self, pid=10, start=1000):
        """Add an idle process with a loop."""
        self.add(pid, start=start)
        self.thread(pid)
        self.descriptor(pid, OWN_FD, "anon_inode:[eventpoll]")
        return WorkerKey(pid, start)


@pytest.fixture
def tree(tmp_path):
    """A /proc without processes."""
    return ThreadTree(tmp_path / "proc")


class Watching:
    """An observer without its thread, on a clock that stands still between its ticks."""

    def __init__(self, tree, **options):
        self.now = 500.0
        self.cpu = self.own = 0.0
        self.events = []
        self.observer = Observer(
            self.events.append,
            proc=tree.root,
            clock=lambda: self.now,
            cpu_clock=lambda: self.cpu,
            own_clock=lambda: self.own,
            **options,
        )

    def follow(self, *keys, segment=None):
        """Follow these workers alone."""
        self.observer.follow([Followed("shop", str(n), key, segment) for n, key in enumerate(keys)])

    def ticks(self, count=1, late=0.0):
        """Tick, and go on to when the next one is wanted."""
        for _ in range(count):
            self.now = max(self.now, self.observer.tick()) + late

    def until(self, seconds):
        """Tick until so much time has passed."""
        end = self.now + seconds - 1e-6
        while self.now < end:
            self.ticks()


@pytest.fixture
def watching(tree):
    """Return a function that makes an observer of the tree."""
    made = []

    def make(**options):
        made.append(Watching(tree, **options))
        return made[-1]

    yield make
    for one in made:
        for watch in one.observer._watches:
            watch.close()
