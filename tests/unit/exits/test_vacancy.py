"""Which empty places are down, and which are vacant."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from unit.detect.ends import MASTER, Pool

from vitalsd.detect.worker_down import WorkerDownDetector
from vitalsd.model import WorkerKey, Zombie
from vitalsd.sources.exits.vacancy import with_vacancies


def vacant(pool, zombies=()):
    """The slots that are."""
    seen = pool.seen.latest
    told = with_vacancies(seen.workers, seen.exits, seen.supervisor, zombies)
    return [worker.slot for worker in told if worker.vacant]


def pool(**more):
    """A service that has run for an hour."""
    return Pool(WorkerDownDetector, **more).live(3600)


@pytest.mark.parametrize("reason", ["graceful", "recycled"])
def test_an_end_in_order_leaves_a_place_vacant(reason):
    """As SIGTTOU has it, or `max_requests` until another is there."""
    assert vacant(pool().end("1", reason)) == ["1"]
    assert vacant(pool().restart("1", reason)) == []


@pytest.mark.parametrize("reason", ["error", "signal", "timeout", "oom_kill", "unknown"])
def test_any_other_end_leaves_it_down(reason):
    """A crash is never hidden, nor what nobody knows."""
    assert vacant(pool().end("1", reason)) == []


def test_the_end_of_one_before_says_nothing():
    """Somebody has sat there since, and how that has ended is not known."""
    one = pool().restart("1", "graceful")
    one.seats["1"] = None
    assert vacant(one) == []


def test_without_a_supervisor_or_others_it_is_down():
    """Nobody would take the place, or nobody is left."""
    assert vacant(pool(kind=None).end("1", "graceful")) == []
    assert vacant(pool().end("0", "graceful").end("1", "graceful")) == []
    above = pool()
    supervisor = above.supervisor
    above.end("1", "graceful").end("", "signal")
    above.supervisor = supervisor  # it is named for a while
    assert vacant(above) == []


def test_a_supervisor_that_does_not_look_does_not_know():
    """It has not fetched the one that has ended."""
    one = pool()
    key = one.seats["1"]
    one.end("1", "graceful")
    assert vacant(one, [Zombie(key, MASTER, "gunicorn", one.now)]) == []
    assert vacant(one, [Zombie(WorkerKey(99, 1), MASTER, "sh", one.now)]) == ["1"]


def test_whoever_sits_there_is_not_vacant():
    """Be it that nothing can be read of it now."""
    one = pool().end("1", "graceful")
    seen = one.seen.latest
    workers = (*seen.workers, replace(seen.workers[0], slot="2", up=False))
    told = with_vacancies(workers, seen.exits, seen.supervisor)
    assert [worker.vacant for worker in told] == [False, True, False]
