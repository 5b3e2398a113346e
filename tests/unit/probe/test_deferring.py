"""What is called once the hooks of a fork are over: when, where not, and what it raises."""

import concurrent.futures
import sys
import types

import pytest

from vitalsd.probe.python import deferring


@pytest.fixture(autouse=True)
def _counting(monkeypatch):
    """Whichever interpreter runs the tests, it counts threads at a fork."""
    monkeypatch.setattr(deferring, "FORKS_ARE_COUNTED", True)


def go_on():
    """Have the interpreter execute something, between which it calls what is deferred, and handlers of signals."""
    for _ in range(20):
        len("")


def hook(asked, deferred, frame):
    """As one of a fork runs: whether something was deferred, and what had been called when it was over."""
    answer = deferred(frame)
    go_on()
    return answer, list(asked)


def gone():
    """A frame that nobody comes back to."""
    return sys._getframe()


def test_it_is_called_when_the_hooks_are_over():
    """Not in one of them, once, and again when it is asked for again."""
    asked = []
    deferred = deferring.Deferred(lambda: asked.append("called"), pytest.fail)
    for times in (1, 2):
        before = list(asked)
        assert hook(asked, deferred, sys._getframe()) == (True, before)
        for _ in range(20):
            len(asked)
        assert asked == ["called"] * times


def test_hooks_that_take_for_ever(monkeypatch):
    """It is not put off without end."""
    monkeypatch.setattr(deferring, "MOST_CALLS", 40)
    asked = []
    deferred = deferring.Deferred(lambda: asked.append("called"), pytest.fail)
    assert deferred(gone())
    go_on()
    assert asked == ["called"]


def test_a_failure_is_told():
    """As one of a hook is."""
    told = []
    deferred = deferring.Deferred(lambda: 1 / 0, lambda: told.append(sys.exc_info()[0]))
    assert deferred(sys._getframe())
    for _ in range(20):
        len(told)
    assert told == [ZeroDivisionError]


def test_an_interrupt_is_raised_in_the_service():
    """The handler of a signal was called in the middle of it: it is the code that forks which gets it."""

    def interrupted():
        raise KeyboardInterrupt

    deferred = deferring.Deferred(interrupted, pytest.fail)

    def fork():
        deferred(sys._getframe())
        for _ in range(20):
            len("")

    with pytest.raises(KeyboardInterrupt):
        fork()
    assert sys.getprofile() is None


def test_where_it_cannot_be_deferred(monkeypatch):
    """In another thread, from C, where no such code may be made, and where nobody counts threads: it says so."""
    deferred = deferring.Deferred(pytest.fail, pytest.fail)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert not pool.submit(lambda: deferred(sys._getframe())).result()
    assert not deferred(None)

    def forbidden(*_types):
        raise MemoryError

    monkeypatch.setattr(deferring, "ctypes", types.SimpleNamespace(CFUNCTYPE=forbidden, c_int=0, c_void_p=0))
    assert not deferring.Deferred(pytest.fail, pytest.fail)(sys._getframe())
    monkeypatch.setattr(deferring, "FORKS_ARE_COUNTED", False)
    assert not deferring.Deferred(pytest.fail, pytest.fail)(sys._getframe())
