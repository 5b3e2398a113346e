"""Workers that end while they are watched: noticed at once, told apart, and nobody else taken for one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from vitalsd.model import STAND_INS, Supervisor, TargetSnapshot, WorkerKey
from vitalsd.settings.model import Settings
from vitalsd.sources.exits import watch as module
from vitalsd.sources.exits.book import ExitBook
from vitalsd.sources.exits.watch import ExitWatch
from vitalsd.targets.finder import Found, Seat
from vitalsd.targets.processes import read_key

PROC = Path("/proc")


def found(*keys, supervisor=None):
    """Who sits where; None is an empty seat."""
    seats = tuple(Seat("shop", str(slot), key, "", None, {}) for slot, key in enumerate(keys))
    return Found({"shop": seats}, {"shop": supervisor} if supervisor is not None else {})


class World:
    """A watch, and processes to end."""

    def __init__(self):
        self.book = ExitBook()
        self.watch = ExitWatch(self.book)
        self.watch.reconfigure(Settings())
        self.heard = []
        self.watch.ended, self.watch.told = lambda: self.heard.append("ended"), lambda: self.heard.append("told")
        self.processes = []

    def start(self, code="import signal; signal.pause()"):
        """A process of ours, and its key."""
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return read_key(PROC, process.pid)

    async def until(self, what):
        """Let the loop turn until that is so; our children are fetched meanwhile."""
        deadline = time.monotonic() + 10
        while not what():
            for process in self.processes:
                process.poll()
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)

    @property
    def exits(self):
        """Slot, reason, code and signal of each."""
        return [(each.slot, each.reason, each.code, each.signal) for each in self.book.of("shop")]


@pytest.fixture
def world():
    """All of it is gone at the end."""
    world = World()
    yield world
    for process in world.processes:
        process.kill()
        process.wait()


def test_an_end_is_noticed_and_told(world):
    """Between two rounds, with how it was."""

    async def run():
        first, second = world.start(), world.start("import sys; sys.stdin.readline(); sys.exit(3)")
        world.watch.follow(found(first, second))
        assert world.watch.reason(first) is None
        os.kill(first.pid, signal.SIGKILL)
        await world.until(lambda: len(world.exits) >= 1)
        assert world.watch.reason(first) == "signal"
        await world.until(lambda: len(world.exits) == 2)
        world.watch.close()

    asyncio.run(run())
    assert sorted(world.exits) == [("0", "signal", None, "SIGKILL"), ("1", "error", 3, None)]
    assert world.heard.count("ended") == world.heard.count("told") == 2


def test_a_supervisor_has_no_slot(world):
    """Its own end is kept beside those of its workers, who say what kind it was."""

    async def run():
        worker, master = world.start(), world.start()
        above = Supervisor("celery", master, "celery")
        world.watch.follow(found(worker, supervisor=above))
        os.kill(master.pid, signal.SIGTERM)
        await world.until(lambda: world.exits)
        world.watch.close()

    asyncio.run(run())
    assert world.exits == [("", "graceful", None, "SIGTERM")]
    assert world.book.of("shop")[0].supervisor == "celery"


def test_who_leaves_alive_has_not_ended(world):
    """A master that was taken for a worker at first; its end is nobody's."""

    async def run():
        master, worker = world.start(), world.start()
        world.watch.follow(found(master))
        world.watch.follow(found(worker))
        os.kill(master.pid, signal.SIGKILL)
        os.kill(worker.pid, signal.SIGKILL)
        await world.until(lambda: world.exits)
        await asyncio.sleep(0.05)
        world.watch.close()

    asyncio.run(run())
    assert [each.key.pid for each in world.book.of("shop")] == [world.processes[1].pid]


def test_who_has_ended_when_the_round_comes_first(world):
    """The search for workers has found it gone before the loop has heard of it."""

    async def run():
        worker = world.start()
        world.watch.follow(found(worker))
        world.processes[0].kill()
        world.processes[0].wait()
        world.watch.follow(found(None))
        assert world.exits == [("0", "signal", None, "SIGKILL")]
        world.watch.close()

    asyncio.run(run())


def test_a_main_thread_that_ends_before_the_others(world):
    """The kernel shows a zombie then, which is none yet: it has ended when the last of its threads has."""
    code = (
        "import ctypes, signal, threading; "
        "threading.Thread(target=signal.sigwait, args=[{signal.SIGUSR1}]).start(); "
        "ctypes.CDLL(None).pthread_exit(None)"
    )

    async def run():
        worker = world.start(code)
        world.watch.follow(found(worker))
        await world.until(lambda: module.has_gone(PROC, worker))
        world.watch.follow(found(None))
        assert (world.exits, world.heard) == ([], [])
        os.kill(worker.pid, signal.SIGKILL)
        await world.until(lambda: world.exits)
        world.watch.close()

    asyncio.run(run())
    assert world.exits == [("0", "signal", None, "SIGKILL")]


def test_without_pidfds_the_next_round_notices(world, monkeypatch):
    """How it was is not known then, once its parent has fetched it."""

    def refuse(*_):
        raise OSError(24, "Too many open files")

    async def run():
        monkeypatch.setattr(module, "open_pidfd", refuse)
        worker = world.start()
        world.watch.follow(found(worker))
        world.processes[0].kill()
        world.processes[0].wait()
        assert world.exits == []
        world.watch.follow(found(None))
        world.watch.close()

    asyncio.run(run())
    assert world.exits == [("0", "unknown", None, None)]
    assert "its parent had fetched how it ended" in world.book.of("shop")[0].evidence


def test_without_descriptors_nobody_has_ended(world, monkeypatch):
    """An agent that has none left knows nothing of those who live; when there is one again, it watches them."""

    def full(*_arguments, **_options):
        raise OSError(24, "Too many open files")

    async def run():
        worker = world.start()
        with monkeypatch.context() as narrow:
            narrow.setattr(os, "open", full)
            narrow.setattr(os, "pidfd_open", full)
            world.watch.follow(found(worker))
        with monkeypatch.context() as narrow:
            narrow.setattr(os, "open", full)  # the last one went to the pidfd
            world.watch.follow(found(worker))
        assert (world.exits, world.heard) == ([], [])
        world.watch.follow(found(worker))
        os.kill(worker.pid, signal.SIGTERM)
        await world.until(lambda: world.exits)
        world.watch.close()

    asyncio.run(run())
    assert world.exits == [("0", "graceful", None, "SIGTERM")]


def test_who_lives_has_not_ended(world):
    """What was taken in for the end of one that is seated, and lives, is taken back."""

    async def run():
        worker = world.start()
        world.book.end(module.Ended(worker, "shop", "0", time.time(), 1.0), None)
        world.watch.follow(found(worker))
        assert world.exits == []
        os.kill(worker.pid, signal.SIGTERM)
        await world.until(lambda: world.exits)
        world.watch.close()

    asyncio.run(run())
    assert world.exits == [("0", "graceful", None, "SIGTERM")]


def test_who_is_expected_to_end_is_recycled_though_nobody_fetches_it(world, monkeypatch):
    """Its seat is empty by the time that its end can be told."""

    async def run():
        worker = world.start()
        world.watch.follow(found(worker))
        world.watch.expect(worker)
        looked = module.look
        monkeypatch.setattr(module, "look", lambda *who: replace(looked(*who), status=None))
        os.kill(worker.pid, signal.SIGTERM)
        ended = asyncio.Event()
        world.watch.ended = ended.set
        await asyncio.wait_for(ended.wait(), 10)
        world.watch.follow(found(None))
        monkeypatch.setattr(module, "look", looked)
        await world.until(lambda: world.exits)
        world.watch.close()

    asyncio.run(run())
    assert world.exits == [("0", "recycled", None, "SIGTERM")]


def test_a_worker_that_outlives_its_supervisor(world):
    """It is nobody's any more, and its end is that of the worker that it was."""

    async def run():
        worker, master = world.start(), world.start()
        world.watch.follow(found(worker, supervisor=Supervisor("gunicorn", master, "gunicorn shop")))
        os.kill(master.pid, signal.SIGKILL)
        await world.until(lambda: world.exits)
        world.watch.follow(found(None))
        os.kill(worker.pid, signal.SIGTERM)
        await world.until(lambda: len(world.exits) == 2)
        world.watch.close()

    asyncio.run(run())
    assert world.exits == [("", "signal", None, "SIGKILL"), ("0", "graceful", None, "SIGTERM")]


def test_a_master_that_is_left_alone_is_no_worker_of_its_own(world):
    """gunicorn's exits with 3 when a worker could not boot, and has a seat by then: the last one that is left."""

    async def run():
        worker = world.start()
        master = world.start("import sys; sys.stdin.readline(); sys.exit(3)")
        world.watch.follow(found(worker, supervisor=Supervisor("gunicorn", master, "gunicorn shop")))
        await world.until(lambda: world.exits)
        world.watch.close()
        alone = world.start("import sys; sys.stdin.readline(); sys.exit(3)")
        seat = Seat("shop", "0", alone, "/usr/bin/python3 /usr/bin/uvicorn shop:app", None, {})
        world.watch.follow(Found({"shop": (seat,)}))
        await world.until(lambda: len(world.exits) == 2)
        world.watch.close()

    asyncio.run(run())
    assert [each.supervisor for each in world.book.of("shop")] == ["gunicorn", None]
    assert [each.evidence for each in world.book.of("shop")] == [
        "it exited with 3: gunicorn gives up because a worker could not boot",
        "it exited with 3: the application did not start",
    ]


def test_a_helper_between_fork_and_exec_is_no_worker(world):
    """It was looked at in that moment: what it executes and how that ends is nothing of the service's."""

    async def run():
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(read, 1)
            os.execv("/bin/sh", ["sh", "-c", "sleep 0.2; exit 3"])
        world.watch.follow(found(read_key(PROC, child)))
        os.write(write, b"x")
        await asyncio.sleep(0.1)
        os.waitpid(child, 0)  # noqa: ASYNC222 - a fifth of a second, in a test
        await asyncio.sleep(0.05)
        world.watch.close()
        os.close(read)
        os.close(write)

    asyncio.run(run())
    assert (world.exits, world.heard) == ([], [])


@pytest.mark.parametrize("age", [0.0, 0.2])
def test_a_fork_that_ends_right_after_it_was_found(world, age):
    """It was a worker where it was older than a fork that is about to execute something."""

    async def run():
        child = os.fork()
        if child == 0:
            signal.pause()
        await asyncio.sleep(age)
        world.watch.follow(found(read_key(PROC, child)))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)  # noqa: ASYNC222 - it has ended
        await asyncio.sleep(0.05)
        world.watch.close()

    asyncio.run(run())
    assert world.exits == ([("0", "signal", None, "SIGKILL")] if age else [])


def test_a_reload_that_renames_a_target(world):
    """An end belongs to where its worker sat last."""

    async def run():
        worker = world.start()
        world.watch.follow(found(worker))
        world.watch.follow(Found({"web": (Seat("web", "4", worker, "", None, {}),)}))
        os.kill(worker.pid, signal.SIGTERM)
        await world.until(lambda: world.book.of("web"))
        world.watch.close()

    asyncio.run(run())
    assert [each.slot for each in world.book.of("web")] == ["4"]


def test_nothing_stays_open(world):
    """Neither of those who end nor of those who stay."""

    async def run():
        keys = [world.start() for _ in range(3)]
        world.watch.follow(found(*keys))
        world.watch.note([TargetSnapshot("shop", True, ())])
        os.kill(keys[0].pid, signal.SIGKILL)
        await world.until(lambda: world.exits)
        world.watch.close()

    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    asyncio.run(run())
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 - numbers


def test_a_supervisor_that_has_ended_counts_once(world):
    """It is named for as long as its last worker's place is waited for."""

    async def run():
        key = world.start()
        above = Supervisor("gunicorn", key, "gunicorn shop")
        world.watch.follow(found(None, supervisor=above))
        os.kill(key.pid, signal.SIGKILL)
        await world.until(lambda: world.exits)
        for _ in range(20):
            world.watch.follow(found(None, supervisor=above))
            await asyncio.sleep(0.01)
        world.watch.close()

    asyncio.run(run())
    assert [(slot, told) for slot, _, _, told in world.exits] == [("", "SIGKILL")]


def test_who_is_out_of_sight(world):
    """It has ended when its segment says so and not before, nobody knows how, and no process is asked for it."""
    unseen = WorkerKey(STAND_INS + os.getpid(), 1000)

    async def run():
        for _ in range(2):
            world.watch.follow(found(unseen))
            assert (world.exits, world.watch.reason(unseen)) == ([], None)
        world.watch.follow(found(None))
        assert world.exits == [("0", "unknown", None, None)]
        assert world.book.of("shop")[0].evidence.endswith(module.OUT_OF_SIGHT)
        world.watch.follow(found(unseen))
        assert world.exits == []
        world.watch.close()

    asyncio.run(run())
