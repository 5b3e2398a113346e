"""How much each worker of a pool has worked, and its share of it."""

from __future__ import annotations

from vitalsd.history.work import WorkBook
from vitalsd.model import ProcessVitals, TargetSnapshot, WorkerKey, WorkerSample

NOW = 1_782_907_200.0


def worker(slot, at, cpu, pid=None):
    """One that has used so much processor time."""
    key = WorkerKey(pid or 100 + int(slot), 1)
    process = ProcessVitals("S", NOW - 1000, cpu, 1)
    return WorkerSample("shop", slot, key, at, True, "", "none", process, None)


def rounds(book, seconds, *cores, since=0, pid=None):
    """A round each three seconds in which each worker uses so many cores; what the last one is told as."""
    told = None
    for elapsed in range(since, since + seconds + 1, 3):
        at = NOW + elapsed
        workers = tuple(worker(str(slot), at, elapsed * each, pid) for slot, each in enumerate(cores))
        (told,) = book.take((TargetSnapshot("shop", True, workers),))
    return told


def test_shares_of_the_work():
    """By processor time, from half a minute on."""
    book = WorkBook(60.0)
    assert [each.share for each in rounds(book, 27, 0.3, 0.1).workers] == [None, None]
    assert [each.share for each in rounds(book, 60, 0.3, 0.1, since=30).workers] == [0.75, 0.25]


def test_nobody_has_a_share_of_nothing():
    """Nor of a pool of one."""
    assert [each.share for each in rounds(WorkBook(60.0), 90, 0.0, 0.0).workers] == [None, None]
    assert [each.share for each in rounds(WorkBook(60.0), 90, 0.5).workers] == [None]


def test_two_windows_are_told_once_both_are_over():
    """The one up to now, and the one before it."""
    book = WorkBook(60.0)
    assert book.loads(rounds(book, 117, 0.2)) == {}
    target = rounds(book, 63, 0.2, since=120)
    (last, before), *_ = book.loads(target).values()
    assert round(last.cores, 3) == round(before.cores, 3) == 0.2
    assert last.busy is None


def test_a_worker_that_takes_a_place_begins_anew():
    """What its predecessor did is not its work."""
    book = WorkBook(60.0)
    rounds(book, 150, 0.9)
    assert book.loads(rounds(book, 30, 0.1, since=153, pid=777)) == {}


def test_what_is_kept_is_bounded():
    """Whatever the window is, and however often it is looked at."""
    book = WorkBook(300.0)
    rounds(book, 6000, 0.1)
    ((_, readings),) = book._slots.values()
    assert len(readings) <= 33
