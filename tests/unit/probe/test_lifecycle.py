"""When a process is a master, and what happens to an activation that a fork meets."""

import os
import sys
import threading
import types

import pytest

from vitalsd.probe.python import lifecycle


class Probe:
    """Keeps what is asked of it."""

    ready = False

    def __init__(self):
        self.asked = []

    def pause(self):
        """Stop before a fork."""
        self.asked.append("pause")

    def resume_soon(self, _frame):
        """This cannot."""
        return False

    def resume(self):
        """Start after it."""
        self.asked.append("resume")

    def forget(self):
        """Leave everything to the parent."""
        self.asked.append("forget")


@pytest.fixture
def life(monkeypatch):
    """The module's state, put back at the end: a process that is armed."""
    for name in ("_active", "_activating", "_born", "_disabled", "_forked", "_importing", "_pid"):
        monkeypatch.setattr(lifecycle, name, getattr(lifecycle, name))
    return lifecycle


def can_activate(life):
    """Whether another thread could do so now."""
    answers = []

    def try_it():
        answers.append(life._activating.acquire(blocking=False))
        if answers[0]:
            life._activating.release()

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    return answers[0]


def test_nothing_is_imported_during_a_fork(life):
    """Between the hooks nobody begins an import whose lock a child would inherit."""
    life._before_fork()
    assert not can_activate(life)
    life._after_fork_parent()
    assert can_activate(life)


def test_active_in_the_middle_of_a_fork(life):
    """A probe that has become active meanwhile is paused and resumed by the next fork as if nothing had been."""
    life._before_fork()
    probe = life._active = Probe()
    life._after_fork_parent()
    life._before_fork()
    life._after_fork_parent()
    assert probe.asked == ["resume", "pause", "resume"]
    assert can_activate(life)


def test_another_thread_forks_too(life, monkeypatch):
    """The probe goes on when the last of them is through."""
    probe = life._active = Probe()
    monkeypatch.setitem(life.forking, 1, None)
    life._after_fork_parent()
    assert probe.asked == []
    life.forking.clear()
    life._after_fork_parent()
    assert probe.asked == ["resume"]


@pytest.mark.parametrize("importing", [True, False])
def test_child_of_an_import(life, importing):
    """Only a child that has inherited an import in progress goes without a probe."""
    life._importing = importing
    life._after_fork_child()
    assert life._disabled == importing
    assert can_activate(life)


def test_forked_without_hooks(life):
    """A loop in a process that is not the one which was armed starts from zero there."""
    probe = life._active = Probe()
    life._born, life._pid = 0.0, -1
    asked = []
    life._loop_started(types.SimpleNamespace(call_later=lambda *arguments: asked.append(arguments)))
    assert (probe.asked, life._active, life._pid) == (["forget"], None, os.getpid())
    assert len(asked) == 1  # it is as young as a process that was just made


@pytest.mark.parametrize(("worker", "forked", "master"), [(0, False, True), (1, False, False), (0, True, False)])
def test_uwsgi(life, monkeypatch, worker, forked, master):
    """uWSGI's master is number 0; without one, its only process is a worker that nobody has forked."""
    monkeypatch.setitem(sys.modules, "uwsgi", types.SimpleNamespace(worker_id=lambda: worker))
    life._forked = forked
    assert life._is_master() == master


def test_uwsgi_that_does_not_tell(life, monkeypatch):
    """A module of that name that does not know workers passes for a master, as does gunicorn's."""
    monkeypatch.setitem(sys.modules, "uwsgi", types.SimpleNamespace())
    assert life._is_master()
    monkeypatch.delitem(sys.modules, "uwsgi")
    monkeypatch.setitem(sys.modules, "gunicorn.arbiter", types.SimpleNamespace())
    assert life._is_master()
