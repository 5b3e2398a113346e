"""Loops of several threads that come and go while somebody looks at all of them."""

import types

import pytest

from vitalsd.probe.python.ledger import Ledger
from vitalsd.probe.python.loops import Loops


@pytest.fixture
def loops():
    """Loops that nobody has attached yet."""
    return Loops(types.SimpleNamespace(words=None), None, None, 0.0, pytest.fail)


class Meter:
    """Measures a loop that is open or closed."""

    def __init__(self, asked, closed):
        self._asked, self._closed = asked, closed
        self.loop = self

    def call_soon_threadsafe(self, _callback, *arguments):
        """As a loop does it."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        self._asked.append(arguments)


def test_a_loop_ends_while_another_begins(loops):
    """A thread that detaches its loop at that moment does not disturb the one that looks for a slot."""

    class Slots(dict):
        def __getitem__(self, ident):
            loops.running.pop(ident, None)
            return super().__getitem__(ident)

    loops.running.update(dict.fromkeys((1, 2, 3)))
    loops._slots = Slots({1: 1, 2: 2, 3: 3})
    assert isinstance(loops._open(4), Ledger)


def test_one_of_them_is_closed(loops):
    """Where the segment has moved, a loop that has been closed does not keep the others from following."""
    asked = []
    meters = [Meter(asked, closed) for closed in (True, False, True, False)]
    loops.running.update(enumerate(meters))
    loops.attach_again()
    assert asked == [(meters[1],), (meters[3],)]
