"""Who is above the workers of a target, and which children of it have ended, as they come and go."""

import pytest

from vitalsd.model import WorkerKey, Zombie
from vitalsd.targets.finder import Finder
from vitalsd.targets.folder import SegmentFolder
from vitalsd.targets.places import Place
from vitalsd.targets.rules import TargetRule

INTERVAL = 10.0
SHOP = TargetRule("shop", match=r"gunicorn shop")
GUNICORN = "gunicorn shop"
OLD, YOUNG = 500, 10**12
"""Start times, in ticks: of a process that is read once in a minute, and of one that is read every time."""


class Clock:
    """Unix time, as a test sets it."""

    now = 1000.0

    def __call__(self):
        """Now."""
        return self.now


@pytest.fixture
def clock():
    """The time at which zombies are first seen."""
    return Clock()


@pytest.fixture
def follow(tree, segments, clock):
    """Return a finder of gunicorns."""
    folder = SegmentFolder(lambda: [Place(segments.folder)], tree.root)
    yield Finder([SHOP], folder, INTERVAL, tree.root, clock)
    folder.close()


@pytest.fixture
def shop(tree):
    """A gunicorn with two workers, and a helper of the first."""
    tree.add(10, GUNICORN, start=OLD)
    for pid in (11, 12):
        tree.add(pid, GUNICORN, parent=10, forked=True, start=OLD)
    tree.add(20, "ffmpeg a.mp4", parent=11, name="ffmpeg", start=OLD)
    return tree


def end(tree, pid, parent, name="gunicorn", start=OLD):
    """Have a process end, and nobody fetch it."""
    tree.add(pid, "", parent=parent, name=name, start=start, state="Z")


def zombies(found):
    """Pids of them, with the time since when."""
    return {zombie.key.pid: zombie.since for zombie in found.zombies.get("shop", ())}


def test_supervisor(follow, shop):
    """It is told with its workers."""
    supervisor = follow.find(0.0).supervisors["shop"]
    assert (supervisor.kind, supervisor.key, supervisor.command) == ("gunicorn", WorkerKey(10, OLD), GUNICORN)


def test_supervisor_of_a_service_without_workers(follow, tree):
    """A service that stands alone has none."""
    tree.add(10, GUNICORN)
    assert follow.find(0.0).supervisors == {}


def test_supervisor_while_its_last_worker_is_replaced(follow, shop):
    """It is still there when nobody is below it, and not any more once it has ended."""
    for now in (0.0, INTERVAL):
        follow.find(now)
    for pid in (11, 12):
        shop.remove(pid)
    found = follow.find(INTERVAL + 1)
    assert [seat.key for seat in found.targets["shop"]] == [None, None]
    assert found.supervisors["shop"].key.pid == 10
    shop.remove(10)
    assert follow.find(2 * INTERVAL + 1).supervisors == {}


def test_ended_worker(follow, shop, clock):
    """A worker that has ended is a zombie from the next round on, until it is fetched; its slot is free."""
    assert follow.find(0.0).zombies == {}
    end(shop, 11, parent=10)
    clock.now = 1001.0
    found = follow.find(1.0)
    assert found.zombies == {"shop": (Zombie(WorkerKey(11, OLD), WorkerKey(10, OLD), "gunicorn", 1001.0),)}
    assert [seat.key and seat.key.pid for seat in found.targets["shop"]] == [None, 12]
    clock.now = 1004.0
    assert zombies(follow.find(4.0)) == {11: 1001.0}
    shop.remove(11)
    assert follow.find(7.0).zombies == {}


@pytest.mark.parametrize(("parent", "start"), [(10, OLD), (11, OLD), (10, YOUNG), (11, YOUNG)])
def test_ended_helper(follow, shop, clock, parent, start):
    """What a worker or the master has started and does not fetch shows at the next look, settled or not."""
    shop.add(20, "ffmpeg a.mp4", parent=parent, name="ffmpeg", start=start)
    follow.find(0.0)
    end(shop, 20, parent, name="ffmpeg", start=start)
    clock.now = 1010.0
    assert zombies(follow.find(INTERVAL)) == {20: 1010.0}
    clock.now = 1020.0
    assert zombies(follow.find(2 * INTERVAL)) == {20: 1010.0}


def test_others_have_zombies(follow, shop):
    """Those of other processes are none of this target's, nor those of what a helper has started."""
    follow.find(0.0)
    end(shop, 30, parent=1)
    end(shop, 31, parent=20)
    assert follow.find(INTERVAL).zombies == {}


def test_a_pid_that_was_a_zombies(follow, shop):
    """Whoever has it next is a process like any other."""
    end(shop, 13, parent=10, start=OLD)
    assert zombies(follow.find(0.0)) == {13: 1000.0}
    shop.add(13, GUNICORN, parent=10, forked=True, start=OLD + 1)
    assert follow.find(1.0).zombies == {}
    assert [seat.key.pid for seat in follow.find(INTERVAL).targets["shop"]] == [11, 12, 13]


def test_a_leader_that_ended_before_its_threads(follow, shop):
    """It is no zombie: the process goes on, and nobody could fetch it."""
    shop.add(13, "", parent=10, start=OLD, state="Z", threads=3)
    assert follow.find(0.0).zombies == {}


def test_many_zombies(follow, shop):
    """All are told, and of the youngest it is known at once that they were fetched."""
    pids = range(1000, 1200)
    for pid in pids:
        end(shop, pid, parent=10, start=pid)
    assert len(zombies(follow.find(0.0))) == len(pids)
    shop.remove(1199)
    shop.remove(1000)
    assert zombies(follow.find(1.0)).keys() == set(pids) - {1199}
    assert zombies(follow.find(INTERVAL)).keys() == set(pids) - {1199, 1000}
