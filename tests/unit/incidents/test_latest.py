"""The latest stall of each length that belongs to an incident, which is what an exemplar tells."""

import math

from support.storing import NOON
from unit.detect.evidence import stall

from vitalsd.detect.stall import StallBounds, find
from vitalsd.incidents import latest
from vitalsd.incidents.latest import LatestStalls
from vitalsd.model import EndedStall, Verdict

HOST = Verdict("host_wide", None, "the agent itself was late")


def ended(seconds, at=NOON, worker="0", loop="main"):
    """A stall that is over."""
    return EndedStall(worker, loop, at, seconds)


def test_the_latest_of_each_bucket_is_known():
    """A length that is a bound belongs below it; one of more than all bounds has a bucket too."""
    stalls = LatestStalls()
    stalls.note("shop", "a", [ended(0.2), ended(0.25, NOON + 1), ended(0.26, NOON + 2)])
    stalls.note("shop", "b", [ended(0.3, NOON + 3), ended(99.0, NOON + 4)])
    assert {bound: (of, known.seconds) for bound, (of, known) in stalls.all()["shop", "0", "main"].items()} == {
        0.25: ("a", 0.25),
        0.5: ("b", 0.3),
        math.inf: ("b", 99.0),
    }


def test_an_earlier_one_that_is_told_late_replaces_none():
    """A scraper takes none that is older than what it has."""
    stalls = LatestStalls()
    stalls.note("shop", "a", [ended(0.2, NOON), ended(0.21, NOON - 5)])
    [(of, known)] = stalls.all()["shop", "0", "main"].values()
    assert (of, known.seconds) == ("a", 0.2)


def test_loops_and_workers_are_told_apart():
    """And so are targets."""
    stalls = LatestStalls()
    stalls.note("shop", "a", [ended(0.2), ended(0.2, worker="1"), ended(0.2, loop="thread-2")])
    stalls.note("web", "b", [ended(0.2)])
    assert set(stalls.all()) == {
        ("shop", "0", "main"),
        ("shop", "1", "main"),
        ("shop", "0", "thread-2"),
        ("web", "0", "main"),
    }


def test_it_does_not_grow_for_ever(monkeypatch):
    """The loops that were late longest ago are forgotten first."""
    monkeypatch.setattr(latest, "MOST_LOOPS", 3)
    stalls = LatestStalls()
    for number in range(10):
        stalls.note("shop", "a", [ended(0.2, worker=str(number)), ended(0.2, worker="0")])
    assert {worker for _, worker, _ in stalls.all()} == {"0", "8", "9"}


def test_a_finding_tells_which_of_its_stalls_are_over():
    """One in progress has no length yet."""
    over, going_on = stall(0.7), stall(1.5, in_progress=True)
    cpu = Verdict("blocking_cpu", None, "its thread computed")
    [finding] = find("shop", "0", [(over, cpu, NOON), (going_on, cpu, NOON + 5)], StallBounds())
    assert finding.ended == (EndedStall("0", over.loop, NOON + 0.7, 0.7),)


def test_one_of_the_whole_host_is_told_of_its_worker():
    """Though the incident is the target's."""
    [finding] = find("shop", "3", [(stall(0.7), HOST, NOON)], StallBounds())
    assert (finding.worker, finding.ended[0].worker) == ("", "3")


def test_the_book_knows_which_incident_a_stall_belongs_to(books, clock, stalled):
    """Each finding its own, be it new or not; those without an ended stall tell of none."""
    book = books()
    [first] = book.take([stalled(at=clock.now, ended=(ended(0.2, clock.now),))])
    [other] = book.take([stalled(at=clock.now, worker="1", cause="gc_pause")])
    clock.now += 10
    book.take(
        [
            stalled(at=clock.now, ended=(ended(0.2, clock.now), ended(0.7, clock.now))),
            stalled(at=clock.now, worker="1", cause="gc_pause", ended=(ended(0.2, clock.now, worker="1"),)),
        ]
    )
    known = book.latest.all()
    assert {bound: of for bound, (of, _) in known["shop", "0", "main"].items()} == {0.25: first.id, 1.0: first.id}
    assert {bound: of for bound, (of, _) in known["shop", "1", "main"].items()} == {0.25: other.id}
    assert known["shop", "0", "main"][0.25][1].ended_at == clock.now
