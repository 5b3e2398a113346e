"""Who sits where as workers come, go, are replaced and publish segments, on a /proc of the test's own."""

import os

import pytest
from msgspec.structs import replace

from vitalsd.model import Exit, WorkerKey
from vitalsd.targets.finder import JOINED_SECONDS, Seat
from vitalsd.targets.rules import TargetRule
from vitalsd.targets.slots import HOLD_SECONDS, SlotRow

INTERVAL = 10.0
SHOP = TargetRule("shop", match=r"shop\.web")
YOUNG = 10**12
"""A start time, in ticks, that no machine that is up has come to yet: it counts as a moment ago."""
GUNICORN = "gunicorn shop.web"


def pids(found, target="shop"):
    """Slot -> pid of one target, None when the target is not there at all."""
    seats = found.targets.get(target)
    return None if seats is None else {seat.slot: seat.key and seat.key.pid for seat in seats}


def restarts(found, target="shop"):
    """Slot -> restarts of one target."""
    return {seat.slot: sum(seat.restarts.values()) for seat in found.targets[target]}


def gunicorn(tree, *workers, start=2000):
    """A master and its forked workers."""
    tree.add(10, GUNICORN)
    for pid in workers:
        tree.add(pid, GUNICORN, parent=10, forked=True, start=start)


def test_seat(finder, tree):
    """A seat says who sits there and what it runs, without secrets."""
    tree.add(10, "python -m shop.web --token abc", start=1234)
    command = "python -m shop.web --token ***"
    (seat,) = finder(SHOP).find(0.0).targets["shop"]
    assert replace(seat, refusal=None) == Seat("shop", "0", WorkerKey(10, 1234), command, None, {})
    assert "publishes no segment" in seat.refusal


def test_secret_of_several_words(finder, tree):
    """A secret is one argument, be there spaces in it or not."""
    tree.add(10, ["python", "-m", "shop.web", "--password", "correct horse battery"])
    (seat,) = finder(SHOP).find(0.0).targets["shop"]
    assert "horse" not in seat.command


def test_target_without_process(finder):
    """A target that a rule names is there without a single worker too."""
    assert finder(SHOP).find(0.0).targets == {"shop": ()}


def test_replaced(finder, tree):
    """A worker that goes frees its slot at once, and its replacement inherits it."""
    gunicorn(tree, 11, 12)
    follow = finder(SHOP)
    assert pids(follow.find(0.0)) == {"0": 11, "1": 12}
    tree.remove(11)
    assert pids(follow.find(1.0)) == {"0": None, "1": 12}
    tree.add(13, GUNICORN, parent=10, forked=True, start=3000)
    found = follow.find(1.0 + INTERVAL)
    assert (pids(found), restarts(found)) == ({"0": 13, "1": 12}, {"0": 1, "1": 0})


def test_one_that_is_just_ending(finder, tree):
    """It has lost its command line and is still there: that is a worker that goes, and none that never was one."""
    tree.add(10, "python -m shop.web", start=2000)
    follow = finder(SHOP)
    assert pids(follow.find(0.0)) == {"0": 10}
    (tree.root / "10/cmdline").write_text("")
    assert pids(follow.find(1.0, again=True)) in ({"0": None}, {"0": 10})
    assert pids(follow.find(1.0 + 4 * INTERVAL, again=True)) == {"0": None}
    tree.remove(10)
    tree.add(11, "python -m shop.web", start=3000)
    found = follow.find(2.0 + 4 * INTERVAL, again=True)
    assert (pids(found), restarts(found)) == ({"0": 11}, {"0": 1})


def test_when_the_table_is_read(finder, tree):
    """A newcomer is seen at the next discovery, or at once together with one that has gone."""
    gunicorn(tree, 11, 12)
    follow = finder(SHOP)
    follow.find(0.0)
    tree.add(13, GUNICORN, parent=10, forked=True, start=3000)
    assert pids(follow.find(INTERVAL - 0.1)) == {"0": 11, "1": 12}
    assert pids(follow.find(INTERVAL)) == {"0": 11, "1": 12, "2": 13}
    tree.remove(12)
    tree.add(14, GUNICORN, parent=10, forked=True, start=4000)
    assert pids(follow.find(INTERVAL + 1)) == {"0": 11, "1": 14, "2": 13}


def test_comes_back(finder, tree):
    """A service that ended and was started again sits where it sat, as its replacement."""
    tree.add(10, "python -m shop.web", start=1000)
    follow = finder(SHOP)
    follow.find(0.0)
    tree.remove(10)
    assert pids(follow.find(1.0)) == {"0": None}
    tree.add(77, "python -m shop.web", start=5000)
    found = follow.find(1.0 + INTERVAL)
    assert (pids(found), restarts(found)) == ({"0": 77}, {"0": 1})


@pytest.mark.parametrize("command", ["python -m shop.web", "vi notes.txt"])
def test_pid_used_again(finder, tree, command):
    """Another process under the same pid is another worker, or none; it never inherits being the old one."""
    tree.add(10, "python -m shop.web", start=1000)
    follow = finder(SHOP)
    follow.find(0.0)
    tree.add(10, command, start=1001)
    (seat,) = follow.find(1.0).targets["shop"]
    expected = (WorkerKey(10, 1001), 1) if "shop" in command else (None, 0)
    assert (seat.key, sum(seat.restarts.values())) == expected


def test_zombie(finder, tree):
    """A worker that is dead but not yet waited for is gone."""
    gunicorn(tree, 11, 12)
    follow = finder(SHOP)
    follow.find(0.0)
    tree.add(11, GUNICORN, parent=10, forked=True, start=2000, state="Z")
    assert pids(follow.find(1.0)) == {"0": None, "1": 12}


def test_master_before_its_workers(finder, tree):
    """A service that was found while it started has restarted nothing."""
    gunicorn(tree)
    follow = finder(SHOP)
    follow.find(0.0)
    gunicorn(tree, 11, 12)
    found = follow.find(INTERVAL)
    assert (pids(found), restarts(found)) == ({"0": 11, "1": 12}, {"0": 0, "1": 0})


def test_last_worker_is_replaced(finder, tree):
    """A master that is alone for a moment does not become its own worker."""
    gunicorn(tree, 11)
    follow = finder(SHOP)
    follow.find(0.0)
    follow.find(INTERVAL)
    tree.remove(11)
    assert pids(follow.find(INTERVAL + 1.0)) == {"0": None}
    gunicorn(tree, 12, start=3000)
    found = follow.find(2 * INTERVAL + 1.0)
    assert (pids(found), restarts(found)) == ({"0": 12}, {"0": 1})


def test_between_fork_and_exec(finder, tree):
    """A service that starts a helper at the very moment of the look is still a worker after it."""
    tree.add(10, "python -m shop.web")
    tree.add(11, "python -m shop.web", parent=10, forked=True, start=YOUNG)
    follow = finder(SHOP)
    follow.find(0.0)
    tree.add(11, "ffmpeg -i a.mp4 b.webm", parent=10, start=YOUNG)
    found = follow.find(INTERVAL)
    assert [seat.key.pid for seat in found.targets["shop"] if seat.key is not None] == [10]


FORKSERVER = "python -c from multiprocessing.forkserver import main; main(3)"
WAITS = "441 0x7 0x7f00 0x400 0x64 0x0 0x0 0x7ffd 0x7f01"


@pytest.mark.parametrize("seen", ["alone", "with its forks"])
def test_a_service_that_forks_stays_a_worker(finder, tree, seen):
    """Who runs a loop serves, with a pool of processes beside it or not; once seen, at work as well."""
    follow = finder(SHOP)
    tree.add(10, "python -m shop.web")
    if seen == "alone":
        (tree.root / "10" / "syscall").write_text(WAITS)
        follow.find(0.0)
        (tree.root / "10" / "syscall").write_text("running")
    else:
        (tree.root / "10" / "syscall").write_text(WAITS)
    tree.add(11, "python -m shop.web", parent=10, forked=True)
    assert pids(follow.find(INTERVAL)) == {"0": 10, "1": 11}
    (tree.root / "10" / "syscall").write_text("running")
    assert pids(follow.find(2 * INTERVAL)) == {"0": 10, "1": 11}
    tree.remove(11)
    assert pids(follow.find(3 * INTERVAL)) == {"0": 10, "1": None}


@pytest.mark.parametrize(
    "command", ["celery -A shop worker", "uwsgi --http :80 --master", GUNICORN, "node shop.js", FORKSERVER]
)
def test_a_supervisor_that_waits_for_events_is_none(finder, tree, command):
    """Some of them wait in an epoll, too: they are known by their names."""
    tree.add(10, command)
    (tree.root / "10" / "syscall").write_text(WAITS)
    follow = finder(TargetRule("shop", pid=10))
    follow.find(0.0)
    tree.add(11, command, parent=10, forked=True)
    assert pids(follow.find(INTERVAL)) == {"0": 11}


def test_segment_appears(finder, tree, segments):
    """A new segment makes the finder look at once: spawned workers are known by their segments."""
    tree.add(10, "uvicorn shop.web --workers 2")
    follow = finder(SHOP)
    follow.find(0.0)
    for pid in (11, 12):
        tree.add(pid, "python -c from multiprocessing.spawn import spawn_main", parent=10, start=segments.start)
        segments.write(pid, heartbeat=1.0)
    seats = follow.find(1.0).targets["shop"]
    assert [(seat.slot, seat.key.pid) for seat in seats] == [("0", 11), ("1", 12)]
    assert [seat.segment.header.pid for seat in seats] == [11, 12]


def test_targets_of_segments(finder, tree, segments):
    """Without rules each segment makes a target of its own, which goes when it has been gone for the hold."""
    for pid, target in ((20, ""), (21, "shop"), (22, "shop")):
        tree.add(pid, "python -m bank.web", start=segments.start)
        segments.write(pid, target=target, heartbeat=0.0)
    follow = finder()
    found = follow.find(0.0)
    assert (pids(found, "bank.web"), pids(found)) == ({"0": 20}, {"0": 21, "1": 22})
    tree.remove(22)
    assert pids(follow.find(1.0)) == {"0": 21, "1": None}
    tree.remove(20)
    tree.remove(21)
    assert pids(follow.find(2.0), "bank.web") == {"0": None}
    for now in (3.0, 4.0 + HOLD_SECONDS, 5.0 + HOLD_SECONDS):
        found = follow.find(now)
    assert found.targets == {}


def test_segment_beside_rules(finder, tree, segments):
    """Where rules say what to watch, a segment that none of them claims is left alone."""
    tree.add(20, "python -m bank.web", start=segments.start)
    segments.write(20, target="bank", heartbeat=0.0)
    assert finder(SHOP).find(0.0).targets == {"shop": ()}


@pytest.mark.parametrize("rules", [(), (SHOP,)])
def test_agents(finder, tree, segments, rules):
    """The agent watches itself, rules or not, and no other agent."""
    for pid in (os.getpid(), 21):
        tree.add(pid, "vitalsd watch --match shop.web", start=segments.start)
        segments.write(pid, target="vitalsd", heartbeat=0.0)
    assert {"0": os.getpid()} == pids(finder(*rules).find(0.0), "vitalsd")


def test_rule_before_segment(finder, tree, segments):
    """Where a rule and the name in a segment disagree, the rule decides."""
    tree.add(20, "python -m shop.web", start=segments.start)
    segments.write(20, target="other", heartbeat=0.0)
    found = finder(SHOP).find(0.0)
    assert (pids(found), pids(found, "other")) == ({"0": 20}, None)


def test_first_rule_wins(finder, tree):
    """A worker belongs to one target: the first whose rule selects it."""
    tree.add(10, "python -m shop.web")
    tree.add(20, "python -m bank.web")
    found = finder(SHOP, TargetRule("all", match="web")).find(0.0)
    assert (pids(found), pids(found, "all")) == ({"0": 10}, {"0": 20})


def test_reconfigure(finder, tree):
    """With other rules, targets that stay keep their slots and restarts, the others go, new ones are found."""
    gunicorn(tree, 11, 12)
    tree.add(20, "python -m bank.web")
    follow = finder(SHOP, TargetRule("pid", pid=20))
    follow.find(0.0)
    tree.remove(11)
    tree.add(13, GUNICORN, parent=10, forked=True, start=3000)
    follow.find(1.0)
    follow.reconfigure([TargetRule("bank", match="bank"), SHOP], INTERVAL)
    found = follow.find(2.0)
    assert found.targets.keys() == {"bank", "shop"}
    assert (pids(found), restarts(found)) == ({"0": 13, "1": 12}, {"0": 1, "1": 0})
    assert pids(found, "bank") == {"0": 20}


def test_the_next_finder_goes_on_with_the_slots(finder, tree):
    """An agent that is restarted shows each worker where it was, and counts on."""
    gunicorn(tree, 11, 12)
    first = finder(SHOP)
    first.find(0.0)
    tree.remove(11)
    tree.add(20, GUNICORN, parent=10, forked=True, start=9000)
    first.find(1.0)
    rows = [replace(row, seen_at=1000.0) for row in first.slots()]
    second = finder(SHOP)
    second.restore(rows, 1e6)
    found = second.find(2.0)
    assert (pids(found), restarts(found)) == ({"0": 20, "1": 12}, {"0": 1, "1": 0})


def test_slots_that_are_known_late(finder, tree):
    """The file was in use when the next agent started: it goes on with them in the middle of its life."""
    gunicorn(tree, 11, 12)
    rows = [SlotRow("shop", 0, 12, 2000, {"unknown": 7}, 1e6), SlotRow("shop", 1, 11, 2000, {"unknown": 2}, 1e6)]
    second = finder(SHOP)
    assert restarts(second.find(0.0)) == {"0": 0, "1": 0}
    second.restore(rows, 1e6)
    found = second.find(1.0)
    assert (pids(found), restarts(found)) == ({"0": 12, "1": 11}, {"0": 7, "1": 2})


@pytest.mark.parametrize(("age", "expected"), [(JOINED_SECONDS, {"0": 1}), (JOINED_SECONDS + 1, {"0": 0})])
def test_a_service_that_was_down_with_its_agent(finder, tree, age, expected):
    """It goes on when it is back soon; much later it is a new one."""
    tree.add(10, "python -m shop.web")
    first = finder(SHOP)
    first.find(0.0)
    rows = [replace(row, seen_at=1000.0) for row in first.slots()]
    tree.remove(10)
    tree.add(99, "python -m shop.web", start=50_000)
    second = finder(SHOP)
    second.restore(rows, 1000.0 + age)
    found = second.find(0.0)
    assert (pids(found), restarts(found)) == ({"0": 99}, expected)


def test_targets_that_are_no_longer_watched_are_not_restored(finder, tree):
    """A target that was taken out of the configuration is not told as down, and our own slot is always new."""
    tree.add(10, "python -m shop.web")
    second = finder(SHOP)
    second.restore(
        [SlotRow("other", 0, 10, 1000, {"unknown": 5}, 0.0), SlotRow("vitalsd", 0, 10, 1000, {"unknown": 5}, 0.0)],
        0.0,
    )
    found = second.find(0.0)
    assert (found.targets.keys(), restarts(found)) == ({"shop"}, {"0": 0})


@pytest.mark.parametrize("match", [r"shop\.web", "", "other"])
def test_slots_of_another_service_of_that_name_are_not_restored(finder, tree, match):
    """`--match` has one name for whatever it finds: what an agent before was told to watch is not told as down."""
    tree.add(10, "python -m shop.web")
    first = finder(TargetRule("service", match=match) if match else TargetRule("service", pid=10))
    first.find(0.0)
    rows = first.slots() or (SlotRow("service", 0, 9, 9, {"unknown": 0}, match=match),)
    rows = [replace(row, slot=4) for row in rows]
    assert {row.match for row in rows} == {match}
    second = finder(TargetRule("service", match=r"shop\.web"))
    second.restore(rows, 1.0)
    assert second.find(1.0).targets["service"][0].slot == ("4" if match == r"shop\.web" else "0")


def test_who_adopts_orphans_is_not_their_supervisor(finder, tree):
    """The first process of a container, or of the host, has taken nobody's place."""
    tree.add(1, "/sbin/first --of-all", start=1)
    gunicorn(tree, 11, 12)
    first = finder(SHOP)
    assert first.find(0.0).supervisors["shop"].key.pid == 10
    tree.remove(10)
    for pid in (11, 12):
        tree.remove(pid)
        tree.add(pid, GUNICORN, parent=1, forked=True, start=2000)
    found = first.find(20.0)
    assert pids(found) == {"0": 11, "1": 12}
    assert "shop" not in found.supervisors


def killed(pid, slot):
    """The end of one that was there."""
    return Exit("shop", slot, WorkerKey(pid, 2000), 900.0, "signal", signal="SIGKILL")


def test_how_the_worker_of_an_empty_place_has_ended_is_kept(finder, tree):
    """So its place is missed by the next agent as well; of one that is taken, nothing is."""
    gunicorn(tree, 11, 12)
    ends = {"0": killed(11, "0"), "1": killed(9, "1"), "": killed(10, "")}
    first = finder(SHOP)
    first.find(0.0)
    tree.remove(11)
    first.find(1.0)
    rows = [replace(row, seen_at=1000.0) for row in first.slots(lambda _target: ends)]
    assert [(row.slot, row.ended) for row in rows] == [(0, ends["0"]), (1, None), (-1, ends[""])]
    known = {}
    second = finder(SHOP, reason_of=lambda key: known.get(key, "unknown"))
    known |= {end.key: end.reason for end in second.restore(rows, 1e6)}
    for now in (2.0, 3.0, 10_000.0):
        assert pids(second.find(now)) == {"0": None, "1": 12}


def test_ends_of_late_are_kept_and_say_why_somebody_was_replaced(finder, tree):
    """Agents that live no longer than their service: each knows how the last of its place have ended."""
    tree.add(10, "python -m shop.web", start=2000)
    first = finder(SHOP)
    first.find(0.0)
    ends = [killed(pid, "0") for pid in (7, 8, 9, 10)]
    in_order = replace(killed(6, "0"), reason="graceful")
    rows = [replace(row, seen_at=1000.0) for row in first.slots(lately=lambda _target: [in_order, *ends])]
    assert [row.lately for row in rows] == [tuple(ends)]
    tree.remove(10)
    tree.add(20, "python -m shop.web")
    second = finder(SHOP)
    second.find(1.0)
    assert second.restore(rows, 1000.5) == ends
    (seat,) = second.find(2.0).targets["shop"]
    assert (seat.slot, seat.restarts) == ("0", {"signal": 1})


def test_how_the_supervisor_has_ended_is_kept(finder, tree):
    """It has no slot, and its workers have ended in order."""
    gunicorn(tree, 11)
    ends = {"": killed(10, "")}
    first = finder(SHOP)
    first.find(0.0)
    tree.remove(10)
    tree.remove(11)
    for now in (1.0, 100.0):
        first.find(now)
    rows = [replace(row, seen_at=1000.0) for row in first.slots(lambda _target: ends)]
    second = finder(SHOP)
    assert second.restore(rows, 1000.0) == [ends[""]]
    assert pids(second.find(2.0)) == {}


def test_slots_that_an_older_agent_has_left_are_restored(finder, tree):
    """It did not say what they were found by."""
    tree.add(10, "python -m shop.web")
    second = finder(SHOP)
    second.restore([SlotRow("shop", 4, 10, 1000, {"unknown": 5}, 0.0)], 1.0)
    assert second.find(1.0).targets["shop"][0].slot == "4"
