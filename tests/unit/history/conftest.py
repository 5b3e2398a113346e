"""Points as rounds bring them, a clock that is set by hand, and histories on a folder of the test's own."""

from __future__ import annotations

import contextlib

import pytest
from support.storing import LISTEN, NOON, Clock
from support.waiting import wait_for

from vitalsd.history.history import History
from vitalsd.history.points import Point

MIB = 2**20


@pytest.fixture
def point():
    """Make a point of one worker at a time."""

    def make(t, rss=100 * MIB, target="shop", worker="0", start=NOON - 86_400, **more):
        values = {"swap": 0, "limit": 600 * MIB, "heap_live": 50 * MIB, "fds": 20, "threads": 4, **more}
        return Point(t, target, worker, start, rss_anon=rss, **values)

    return make


@pytest.fixture
def clock():
    """A clock at noon."""
    return Clock()


@pytest.fixture
def histories(tmp_path, clock):
    """Begin histories on the same folder, as agents one after the other do; the last are closed at the end."""
    opened = []

    def start(folder=tmp_path, kept=8 * 86_400.0, listen=LISTEN):
        history = History(lambda: folder, listen, kept, clock)
        opened.append(history)
        history.start()
        return history

    yield start
    for history in opened:
        with contextlib.suppress(Exception):
            history.close()


@pytest.fixture
def written():
    """Have everything that was kept written."""

    def wait(history):
        history._store._put_at = -1e9
        history.keep([])
        wait_for("everything to be written", lambda: not history._store._batches)

    return wait
