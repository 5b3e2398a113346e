"""Unhandled errors are counted by channel, once each, and the service's own hooks see exactly what they did."""

import asyncio
import functools
import sys
import threading
import warnings

import pytest

from vitalsd.probe.python.errors import Errors

NONE = {"task": 0, "coroutine": 0, "thread": 0, "unraisable": 0, "loop": 0}


@pytest.fixture
def heard(monkeypatch):
    """The service's own hooks, in place before ours: what they were called with."""
    calls = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: calls.append(("unraisable", told)))
    monkeypatch.setattr(threading, "excepthook", lambda told: calls.append(("thread", told)))
    monkeypatch.setattr(warnings, "_warn_unawaited_coroutine", lambda told: calls.append(("coroutine", told)))
    monkeypatch.setattr(
        asyncio.BaseEventLoop, "call_exception_handler", lambda _, told: calls.append(("loop", told))
    )
    return calls


@pytest.fixture
def errors(heard):
    """The counter, hooked; every hook is put back at the end."""
    made = Errors()
    made.hook()
    yield made
    made.stop()


def hooks():
    """The four hooks as they are now."""
    return (
        sys.unraisablehook,
        threading.excepthook,
        warnings._warn_unawaited_coroutine,
        asyncio.BaseEventLoop.call_exception_handler,
    )


def test_channels(errors, heard):
    """Each channel counts its own, and the hook that was there gets the same arguments."""
    sys.unraisablehook("u")
    threading.excepthook("t")
    warnings._warn_unawaited_coroutine("c")
    asyncio.BaseEventLoop.call_exception_handler(None, {"message": "Task exception was never retrieved"})
    asyncio.BaseEventLoop.call_exception_handler(None, {"message": "Future exception was never retrieved"})
    asyncio.BaseEventLoop.call_exception_handler(None, {"message": "something else"})
    asyncio.BaseEventLoop.call_exception_handler(None, "not a dict")
    assert errors.counts == {"task": 2, "coroutine": 1, "thread": 1, "unraisable": 1, "loop": 2}
    assert heard[:3] == [("unraisable", "u"), ("thread", "t"), ("coroutine", "c")]
    assert [channel for channel, _ in heard[3:]] == ["loop"] * 4


def test_real_errors(errors, heard):
    """Python itself calls what we hooked: a thread that dies, a failing __del__, a forgotten coroutine."""

    class Fails:
        def __del__(self):
            raise ValueError("in __del__")

    async def forgotten():
        pass

    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    Fails()
    forgotten()
    assert errors.counts == NONE | {"thread": 1, "unraisable": 1, "coroutine": 1}
    assert [channel for channel, _ in heard] == ["thread", "unraisable", "coroutine"]
    assert heard[0][1].exc_type is ZeroDivisionError


def test_hooked_again(errors):
    """Looking again now and then adds nothing where ours is the outermost."""
    before = hooks()
    errors.hook()
    assert hooks() == before


def test_hook_of_the_service_set_later(errors, heard):
    """A hook that the service puts around ours is wrapped in turn; an error counts once all the same."""
    inner = sys.unraisablehook
    later = []

    def outer(told):
        later.append(told)
        inner(told)

    sys.unraisablehook = outer
    errors.hook()
    assert outer is not sys.unraisablehook
    sys.unraisablehook("u")
    sys.unraisablehook("v")
    assert (
        errors.counts["unraisable"],
        later,
        heard,
    ) == (2, ["u", "v"], [("unraisable", "u"), ("unraisable", "v")])


def test_hook_that_replaces_ours(errors, heard):
    """One that the service sets instead of ours, without calling it, is counted too."""
    sys.unraisablehook = later = [].append
    errors.hook()
    sys.unraisablehook("u")
    assert (errors.counts["unraisable"], later.__self__, heard) == (1, ["u"], [])


def test_failing_hook(errors):
    """What the service's hook raises is the service's: it comes through, and later errors still count."""
    sys.unraisablehook = lambda told: 1 / told
    errors.hook()
    with pytest.raises(ZeroDivisionError):
        sys.unraisablehook(0)
    sys.unraisablehook(1)
    assert errors.counts["unraisable"] == 2


def wrap_all():
    """What a service does that decorates hooks: its wrappers have the names and the attributes of ours."""

    def wrapped(hook):
        @functools.wraps(hook)
        def wrapper(*arguments):
            return hook(*arguments)

        return wrapper

    sys.unraisablehook = wrapped(sys.unraisablehook)
    threading.excepthook = wrapped(threading.excepthook)
    warnings._warn_unawaited_coroutine = wrapped(warnings._warn_unawaited_coroutine)
    asyncio.BaseEventLoop.call_exception_handler = wrapped(asyncio.BaseEventLoop.call_exception_handler)


def call_all():
    """One error in each of the four hooks."""
    sys.unraisablehook("u")
    threading.excepthook("t")
    warnings._warn_unawaited_coroutine("c")
    asyncio.BaseEventLoop.call_exception_handler(None, {})


def test_decorated(errors):
    """A wrapper that looks like ours is not: it is wrapped in turn, and each error counts once."""
    wrap_all()
    before = hooks()
    errors.hook()
    assert not set(before) & set(hooks())
    call_all()
    assert errors.counts == NONE | {"coroutine": 1, "thread": 1, "unraisable": 1, "loop": 1}


def test_decorated_before_a_fork(errors):
    """In a child the parent's counter is gone, and a new one takes nothing for its own that was the parent's."""
    wrap_all()
    errors.stop()
    child = Errors()
    child.hook()
    call_all()
    child.stop()
    assert child.counts == NONE | {"coroutine": 1, "thread": 1, "unraisable": 1, "loop": 1}


def test_stop(heard):
    """stop() leaves every hook as it was found."""
    before = hooks()
    made = Errors()
    made.hook()
    assert not set(before) & set(hooks())
    made.stop()
    assert hooks() == before


def test_stop_below_another_hook(heard):
    """Where somebody has wrapped ours, it stays in the chain, passes everything on and counts no more."""
    made = Errors()
    made.hook()
    outer = sys.unraisablehook = functools.partial(sys.unraisablehook)
    made.stop()
    assert sys.unraisablehook is outer
    sys.unraisablehook("u")
    assert (made.counts, heard) == (NONE, [("unraisable", "u")])


def test_two_threads(errors, heard):
    """Errors of several threads at the same time are different errors: only nesting counts once."""
    sys.unraisablehook("main")
    barrier = threading.Barrier(2, timeout=10)

    def meet(told):
        barrier.wait()
        heard.append(("unraisable", told))

    sys.unraisablehook = meet
    errors.hook()
    threads = [threading.Thread(target=sys.unraisablehook, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors.counts["unraisable"], {told for _, told in heard}) == (3, {"main", "a", "b"})
