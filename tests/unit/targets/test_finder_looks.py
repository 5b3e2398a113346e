"""When the finder looks again, and which process a pid in the configuration means."""

import os

import pytest
from structlog.testing import capture_logs
from support.waiting import wait_for

from vitalsd.targets import commands
from vitalsd.targets import finder as finder_module
from vitalsd.targets.finder import LONGEST_REST_SECONDS
from vitalsd.targets.rules import TargetRule, workers_of

INTERVAL = 10.0
SHOP = TargetRule("shop", match=r"shop\.web")


def pids(found, target="shop"):
    """Slot -> pid of one target, None when the target is not there at all."""
    seats = found.targets.get(target)
    return None if seats is None else {seat.slot: seat.key and seat.key.pid for seat in seats}


def test_looks_only_when_something_changed(finder, tree, segments, monkeypatch):
    """Whose workers are where is worked out when table or segments have changed, not in every round."""
    looks = []
    monkeypatch.setattr(finder_module, "workers_of", lambda *given: looks.append(given) or workers_of(*given))
    tree.add(10, "python -m shop.web", start=segments.start)
    follow = finder(SHOP)
    for now in (0.0, 1.0, INTERVAL - 1):
        assert pids(follow.find(now)) == {"0": 10}
    assert len(looks) == 1
    path = segments.write(10, heartbeat=INTERVAL - 0.5)
    for now in (INTERVAL - 0.5, INTERVAL - 0.4):
        assert [seat.segment.path for seat in follow.find(now).targets["shop"]] == [path]
    assert len(looks) == 2
    follow.find(2 * INTERVAL)
    assert len(looks) == 3


@pytest.mark.parametrize(
    ("spent", "rest"), [(0.001, INTERVAL), (0.04, INTERVAL), (0.1, 20.0), (5.0, LONGEST_REST_SECONDS)]
)
def test_a_look_that_costs_much_comes_less_often(finder, tree, monkeypatch, spent, rest):
    """On a host with very many processes it is worth half a percent of a core, and once a minute in any case."""
    looks = []

    def find(*given):
        looks.append(given)
        clock[0] += spent
        return workers_of(*given)

    clock = [0.0]
    monkeypatch.setattr(finder_module, "workers_of", find)
    monkeypatch.setattr(finder_module.time, "thread_time", lambda: clock[0])
    tree.add(10, "python -m shop.web")
    follow = finder(SHOP)
    for now in (0.0, rest - 0.1, rest):
        follow.find(now)
    assert len(looks) == 2


def test_another_segment_of_the_same_worker(finder, tree, segments):
    """A worker whose probe has begun anew within one round is where its new segment says."""
    tree.add(10, "python -m shop.web", start=segments.start)
    follow = finder()
    old = segments.write(10, target="old", heartbeat=0.0)
    assert pids(follow.find(0.0), "old") == {"0": 10}
    old.unlink()
    segments.write(10, target="new", heartbeat=1.0)
    found = follow.find(1.0)
    assert (pids(found, "old"), pids(found, "new")) == (None, {"0": 10})


@pytest.mark.parametrize("seen", ["at the start", "later"])
def test_pid_of_a_target(finder, tree, seen):
    """A pid means the process that has it when it is first seen; that one of later is another is told."""
    if seen == "at the start":
        tree.add(10, "python -m shop.web", start=1000)
    follow = finder(TargetRule("shop", pid=10))
    assert pids(follow.find(0.0)) == ({"0": 10} if seen == "at the start" else {})
    tree.add(10, "python -m shop.web", start=1000)
    assert pids(follow.find(INTERVAL)) == {"0": 10}
    tree.add(10, "python -m shop.web", start=1001)
    with capture_logs() as logs:
        for now in (1.0, INTERVAL, 2 * INTERVAL):
            assert pids(follow.find(INTERVAL + now)) == {"0": None}
    assert [entry["event"] for entry in logs] == ["target_pid_taken"]


def test_pid_of_a_target_between_start_and_first_look(finder, tree):
    """The process that was there when the agent began is meant, not one that comes before the first look."""
    tree.add(10, "python -m shop.web", start=1000)
    follow = finder(TargetRule("shop", pid=10))
    tree.add(10, "python -m shop.web", start=1001)
    assert pids(follow.find(0.0)) == {}


def test_pid_of_a_master(finder, tree):
    """When the process has ended its workers are nobody's, even if another one has its pid by then."""
    tree.add(10, "gunicorn shop.web", start=1000)
    for pid in (11, 12):
        tree.add(pid, "gunicorn shop.web", parent=10, forked=True, start=2000)
    follow = finder(TargetRule("shop", pid=10))
    assert pids(follow.find(0.0)) == {"0": 11, "1": 12}
    tree.add(10, "vi notes.txt", start=3000)
    assert pids(follow.find(INTERVAL)) == {}


def test_pid_of_a_target_after_a_reload(finder, tree):
    """A target that keeps name and pid over a reload keeps its process too; under another name it is new."""
    tree.add(10, "python -m shop.web", start=1000)
    follow = finder(TargetRule("shop", pid=10))
    follow.find(0.0)
    tree.add(10, "python -m bank.web", start=1001)
    follow.reconfigure([TargetRule("shop", pid=10), TargetRule("bank", pid=10)], INTERVAL)
    found = follow.find(1.0)
    assert (pids(found), pids(found, "bank")) == ({"0": None}, {"0": 10})


def test_command_that_hangs(finder, tree, monkeypatch):
    """While command lines are on their way the table is read in every round."""
    tree.add(10, "python -m shop.web")
    pipe = tree.root.parent / "pipe"
    os.mkfifo(pipe)
    (tree.root / "10/cmdline").unlink()
    (tree.root / "10/cmdline").hardlink_to(pipe)
    monkeypatch.setattr(commands, "WAIT_SECONDS", 0.05)
    follow = finder(SHOP)
    assert pids(follow.find(0.0)) == {}
    wait_for("the reader", lambda: _write(pipe, b"python\0-m\0shop.web\0"))
    wait_for("the command line", lambda: pids(follow.find(1.0)) == {"0": 10})


def _write(pipe, line):
    try:
        end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    os.write(end, line)
    os.close(end)
    return True
