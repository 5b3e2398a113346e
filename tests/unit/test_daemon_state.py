"""What the daemon knows of itself: how often it really samples."""

import pytest
from msgspec.structs import replace
from support.views import WATCHED

from vitalsd.capture.stacks import StackSampler
from vitalsd.history.history import History
from vitalsd.incidents.book import Book
from vitalsd.model import Supervisor, TargetSnapshot, WorkerKey
from vitalsd.settings.model import Health
from vitalsd.sources.observer.observer import Observer
from vitalsd.sources.sampler import Round, Sampler
from vitalsd.state import State
from vitalsd.targets.finder import Found, Seat


@pytest.fixture
def stacks():
    """The one who takes stacks."""
    return StackSampler()


@pytest.fixture
def state(tmp_path, stacks):
    """The state of a daemon that was told to sample every 15 seconds."""

    async def reload():
        """Reload nothing."""

    book = Book(lambda: tmp_path, "127.0.0.1:1")
    history = History(lambda: tmp_path, "127.0.0.1:1", 3600.0)
    return State(Sampler(), book, history, Observer(lambda _event: None), stacks, 15.0, Health(), reload)


def intervals(state, *rounds):
    """The interval that is told after rounds of sampling which began at these times."""
    told = []
    for now in rounds:
        state.update(Found({}), Round((), ()), now)
        told.append(state.agent().effective_interval_seconds)
    return told


def test_interval_before_there_is_one(state):
    """Until there have been two rounds, the interval is the one that was configured, and never 0."""
    assert state.agent().effective_interval_seconds == 15.0
    assert intervals(state, 1000.0) == [15.0]


def test_interval(state):
    """From then on it is what has passed since the round before."""
    assert intervals(state, 0.0, 15.0, 47.5, 62.5) == [15.0, 15.0, 32.5, 15.0]


def test_a_round_that_comes_early_says_nothing_of_the_interval(state):
    """A worker has ended: that is no sign of how often the others are read."""
    intervals(state, 0.0, 15.0)
    state.update(Found({}), Round((), ()), 16.0, early=True)
    assert intervals(state, 30.0) == [15.0]


def test_ready(state):
    """The first round makes the daemon ready."""
    assert not state.ready()
    intervals(state, 0.0)
    assert state.ready()


def test_target_as_a_whole(state):
    """Who supervises a target is told whenever its workers are read again."""
    target = TargetSnapshot("shop", False, (), supervisor=Supervisor("gunicorn", WorkerKey(10, 1), "gunicorn"))
    state.update(Found({"shop": ()}), Round((target,), ()), 0.0)
    assert state.targets() == (target,)


def test_stacks(state, stacks):
    """How many were taken from outside, and why others were not."""
    stacks.dumps = 5
    stacks.refusals["budget"] += 2
    told = state.agent()
    assert (told.stacks, told.stacks_refused) == (5, {"budget": 2})


def test_watched(state, monkeypatch):
    """Who looks by the second has it as new as it may be until a moment after the last look."""
    now = 100.0
    monkeypatch.setattr("vitalsd.state.time.monotonic", lambda: now)
    assert not state.is_watched()
    state.look_closely()
    now = 109.0
    assert state.is_watched()
    now = 111.0
    assert not state.is_watched()


def test_scraped(state, monkeypatch):
    """Where a round was left out a scrape has everything read again, once, and nobody else has."""
    worker = WATCHED
    target = TargetSnapshot("shop", True, (worker,))
    seat = Seat("shop", worker.slot, worker.key, "python", None, {})
    state.update(Found({"shop": (seat,)}), Round((target,), ()), 1000.0)
    monkeypatch.setattr(state._sampler, "renew", lambda sample, _seat: replace(sample, at=7.0))
    monkeypatch.setattr(state._sampler, "refresh_probe", lambda sample, _seat: replace(sample, at=8.0))
    ask = (state.scraped, state.targets)
    assert [found[0].workers[0].at for found in (each() for each in ask)] == [8.0, 8.0]
    state.round_left_out = lambda: True
    assert [found[0].workers[0].at for found in (each() for each in ask)] == [7.0, 8.0]
    assert state.scraped()[0].workers[0].at == 8.0
    state.update(Found({"shop": (seat,)}), Round((target,), ()), 1003.0)
    assert state.scraped()[0].workers[0].at == 7.0
