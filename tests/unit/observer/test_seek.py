"""Which thread, and which epoll, a search takes for a loop: of services that wait, compute, or are no service."""

from __future__ import annotations

import pytest

from vitalsd.sources.observer.seek import BUSY, NO_LOOP

from .conftest import EPOLL, OWN_FD, RUNNING, SLEEP


@pytest.fixture
def computing(tree, watching):
    """A process that computes whenever it is looked at, and has an epoll."""
    watch = watching()
    watch.key = tree.service()
    tree.thread(10, syscall=RUNNING, state="R")
    watch.follow(watch.key)
    return watch


def glimpse(watch, tree, syscall=EPOLL):
    """One look finds the main thread in a call; from then on it computes again."""
    tree.thread(10, syscall=syscall)
    watch.until(0.05)
    tree.thread(10, syscall=RUNNING, state="R")


def test_a_busy_loop_is_taken_at_its_first_sighting(computing, tree):
    """It need not be seen twice within a second, as others must; nothing before that is held against it."""
    computing.until(3.0)
    assert (computing.observer.observed(computing.key), computing.observer.missing(computing.key)) == (None, BUSY)
    glimpse(computing, tree)
    assert computing.observer.observed(computing.key).thread_id == 10
    assert computing.observer.missing(computing.key) is None
    assert computing.events == []


def test_an_epoll_that_nobody_waits_in_is_no_loop(computing):
    """A synchronous program that computes for ever has no stall, however long it is watched."""
    computing.until(60.0)
    assert computing.observer.observed(computing.key) is None
    assert computing.observer.missing(computing.key) == BUSY
    assert computing.events == []


def test_two_epolls_take_two_sightings(computing, tree):
    """Which of them is the loop's is not guessed; the sightings may be seconds apart."""
    tree.descriptor(10, OWN_FD + 1, "anon_inode:[eventpoll]")
    computing.until(1.5)
    glimpse(computing, tree)
    computing.until(2.0)
    assert computing.observer.observed(computing.key) is None
    glimpse(computing, tree)
    assert computing.observer.observed(computing.key).thread_id == 10


def test_too_many_descriptors_take_two_sightings(computing, tree, monkeypatch):
    """They are not all looked through."""
    monkeypatch.setattr("vitalsd.sources.epolls.MOST_DESCRIPTORS", 2)
    computing.until(1.5)
    glimpse(computing, tree)
    assert computing.observer.observed(computing.key) is None


def test_a_worker_that_waits_for_work_is_not_busy(tree, watching):
    """An inherited epoll, and work now and then: one sighting is none, and it is not searched all the time."""
    watch = watching()
    key = tree.service()
    watch.follow(key)
    for _ in range(7):
        tree.thread(10, syscall=RUNNING, state="R")
        watch.until(0.1)
        tree.thread(10, syscall=SLEEP)
        watch.until(0.1)
    assert watch.observer.missing(key) == NO_LOOP
    tree.thread(10)
    watch.until(5.0)
    assert watch.observer.observed(key) is None
