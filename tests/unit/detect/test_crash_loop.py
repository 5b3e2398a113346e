"""When the ends of many workers are one thing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from unit.detect.ends import Pool

from vitalsd.detect.crash_loop import CrashLoopDetector, steady_seconds
from vitalsd.model import ProcessVitals
from vitalsd.settings.model import Settings, Workers


def pool(**more):
    """A service that has run for an hour."""
    return Pool(CrashLoopDetector, **more).live(3600)


def looping(ends=5, life=0.5, reason="error", slot="0", **more):
    """One of its workers ends again and again."""
    one = pool(**more)
    for _ in range(ends):
        one.restart(slot, reason).live(life)
    return one


def test_so_many_in_so_much_time():
    """Five in 30 s, whichever places they had."""
    assert looping(4).told() == []
    assert looping(5).told() == [("", "critical")]
    assert looping(4).restart("1", "signal").told() == [("", "critical")]
    assert looping(5, life=10).told() == []


def test_bounds_are_configured():
    """`workers.crash_loop_exits` and `workers.crash_loop_within`."""
    settings = Settings(workers=Workers(crash_loop_exits=3, crash_loop_within=300.0))
    assert looping(3, life=60, settings=settings).told() == [("", "critical")]


@pytest.mark.parametrize("reason", ["graceful", "recycled", "unknown"])
def test_not_of_ends_that_were_wanted_or_are_not_known(reason):
    """A reload of a hundred workers is none."""
    assert looping(100, reason=reason).told() == []


@pytest.mark.parametrize(("how", "told"), [("SIGKILL", []), ("SIGSEGV", [("", "critical")])])
def test_what_an_application_does_to_its_own_helpers(how, told):
    """It has forked them itself and may kill them; that native code fails in them is another matter."""
    one = pool(kind="multiprocessing", workers=3)
    one.seats["0"] = one.supervisor.key
    for _ in range(6):
        one.restart("1", "signal", signal=how).live(0.5)
    assert one.told() == told


def test_a_stop_is_none():
    """Workers that were killed with their supervisor's in-order end."""
    one = pool(workers=8)
    for slot in range(8):
        one.end(str(slot), "signal")
    assert one.end("", "graceful").told() == []


def test_workers_and_their_supervisor_count_once():
    """A service whose only worker cannot boot ends with it, and its init starts both again."""
    one = pool(workers=1)
    above = one.supervisor
    for _ in range(4):
        one.end("0", "error").end("", "error")
        one.supervisor = above
        one.start("0").live(2)
    assert one.told() == []
    assert one.restart("0", "error").told() == [("", "critical")]


def test_finding():
    """How many, by what, after what lives, and the latest ends."""
    one = looping(7, life=0.5)
    one.restart("1", "signal", signal="SIGSEGV").live(0.1)
    (finding,) = one.found()
    assert finding.summary == (
        "Workers of `shop` keep ending: 8 in 30 s (7 by exit 3, 1 by SIGSEGV), after lives of 0.50 s to "
        "1 h 0 min; see what they log as they start, and roll back what changed last."
    )
    assert finding.evidence["by"] == {"exit 3": 7, "SIGSEGV": 1}
    assert finding.evidence["reasons"] == {"error": 7, "signal": 1}
    assert finding.evidence["slots"] == ["0", "1"]
    assert finding.evidence["lives_seconds"] == {"shortest": 0.5, "median": 0.5, "longest": 3603.5}
    assert [each["signal"] for each in finding.evidence["exits"]] == [None] * 7 + ["SIGSEGV"]
    assert finding.started_at == one.exits[0].ended_at


def test_more_than_are_remembered():
    """There were at least so many."""
    one = looping(120, life=0.1)
    one.exits = one.exits[-100:]
    assert "keep ending: at least 100 in 30 s" in one.found()[0].summary


def test_it_goes_on_and_is_over():
    """One incident for as long as there are enough in the time; what comes an hour later began then."""
    one = looping(40, life=1)
    assert one.found()[0].started_at == one.exits[0].ended_at
    assert one.live(31).told() == []
    one.live(3600)
    for _ in range(5):
        one.restart("0", "error").live(0.5)
    assert one.found()[0].started_at == one.exits[40].ended_at


def test_rules_say_how_many_there_were():
    """Of the target."""
    assert pool().states() == {"": ("quiet", "no worker has ended out of order in 30 s")}
    assert looping(2).states() == {
        "": ("watching", "workers have ended out of order 2 times in 30 s, 5 are a loop")
    }


def test_many_that_end_at_once_after_long_lives_are_none():
    """One thing has ended them, and nothing goes round."""
    one = pool(workers=8)
    for slot in range(8):
        one.end(str(slot), "signal")
    assert one.live(2).told() == []


def test_who_stays_up_for_as_long_as_a_loop_is_told_by_loops_no_more():
    """All of those that were caught in it, and nobody sooner."""
    one = looping(6)
    (finding,) = one.found()
    assert steady_seconds(up_since(one, {"0": 29.0, "1": 4000.0}), finding.evidence) is None
    assert steady_seconds(up_since(one, {"0": 30.0, "1": 4000.0}), finding.evidence) == 30.0
    assert steady_seconds(up_since(one, {"0": 30.0, "1": 2.0}), finding.evidence) == 30.0
    assert steady_seconds(up_since(one, {"0": None, "1": 4000.0}), finding.evidence) is None
    assert steady_seconds(up_since(one, {"0": 30.0}), {}) is None


def up_since(one, ages):
    """The pool with workers of these ages in seconds, None for one that is down."""
    seen = one.seen
    workers = tuple(
        replace(
            worker,
            up=ages[worker.slot] is not None,
            process=ProcessVitals(
                state="S", started_at=seen.now - (ages[worker.slot] or 0), cpu_seconds=0, threads=1
            ),
        )
        for worker in seen.latest.workers
        if worker.slot in ages
    )
    return replace(seen, latest=replace(seen.latest, workers=workers))
