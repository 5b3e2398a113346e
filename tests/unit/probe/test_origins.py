"""Where unhandled errors come from, as far as that is told without keeping anything of them, or any value."""

import asyncio
import gc
import os
import sys
import threading
import types
import warnings
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.probe.python import errors as errors_module
from vitalsd.probe.python import layout, origins
from vitalsd.probe.python.errors import Errors

HERE = __file__


class Shelf:
    """What errors are published into: record -> its fields and its text."""

    def __init__(self):
        self.stores = []

    def put(self, record, values, text=b""):
        """Store one record."""
        channel = layout.ERROR_CHANNELS[layout.ERROR.index(record)]
        self.stores.append((channel, *values, text.decode().split("\n")))


@pytest.fixture
def clock(monkeypatch):
    """The clock of the hooks."""
    made = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(errors_module, "monotonic", lambda: made.now)
    return made


@pytest.fixture
def errors(monkeypatch, clock):
    """The counter, hooked around hooks that say nothing."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(warnings, "_warn_unawaited_coroutine", lambda _: None)
    monkeypatch.setattr(asyncio.BaseEventLoop, "call_exception_handler", lambda *_: None)
    made = Errors()
    made.hook()
    yield made
    made.stop()


def told(errors):
    """Channel -> its latest error: number, type, and function and file of the frames."""
    shelf = Shelf()
    errors.tell(shelf)
    return {
        channel: (number, name, [tuple(line.split("\t")[:2]) for line in frames if line])
        for channel, number, (name, _, *frames) in shelf.stores
    }


class RefusedError(Exception):
    """An error of a service."""


def refuse(customer):
    """What fails."""
    raise RefusedError(f"{customer} is bankrupt")


def line_of(function, offset):
    """A line of a function of this file, counted from its `def`."""
    return function.__code__.co_firstlineno + offset


def test_task(errors):
    """The type with its module, and the frames from the raise outwards; not the message."""

    async def ask():
        refuse("Mrs Miller")

    async def main():
        task = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        gc.collect()

    asyncio.run(main())
    number, name, frames = told(errors)["task"]
    assert (number, name) == (1.0, f"{__name__}.RefusedError")
    assert [function.rpartition(".")[2] for function, _ in frames] == ["refuse", "ask"]
    assert {file for _, file in frames} == {HERE}


def test_line(errors):
    """The line is the one that raised, not the one that the function begins with."""
    thread = threading.Thread(target=refuse, args=("Mrs Miller",))
    thread.start()
    thread.join()
    shelf = Shelf()
    errors.tell(shelf)
    (_, _, lines), *_ = shelf.stores
    assert lines[2] == f"refuse\t{HERE}\t{line_of(refuse, 2)}"
    assert "Miller" not in "\n".join(lines)


def test_thread_and_finalizer(errors):
    """A thread's error ends with what started it; a finalizer's begins in the finalizer."""

    class Fails:
        def __del__(self):
            refuse("Mrs Miller")

    thread = threading.Thread(target=refuse, args=(1,))
    thread.start()
    thread.join()
    Fails()
    gc.collect()
    seen = told(errors)
    assert [frames[0][0] for _, _, frames in seen.values()] == ["refuse", "refuse"]
    assert seen["unraisable"][2][1][0].endswith("__del__")


def test_coroutine(errors):
    """One that was never awaited is known by where it is defined."""

    async def forgotten():
        pass

    forgotten()
    gc.collect()
    number, name, frames = told(errors)["coroutine"]
    assert (number, name) == (1.0, "RuntimeWarning")
    assert [(function.rpartition(".")[2], file) for function, file in frames] == [("forgotten", HERE)]


def test_task_destroyed(errors):
    """Without an exception there is no type; the task's coroutine is known all the same."""

    async def waits():
        await asyncio.sleep(10)

    async def main():
        task = asyncio.ensure_future(waits())
        asyncio.get_running_loop().call_exception_handler({"message": "Task was destroyed", "task": task})
        task.cancel()

    asyncio.run(main())
    number, name, frames = told(errors)["loop"]
    assert (number, name) == (1.0, "")
    assert [function.rpartition(".")[2] for function, _ in frames] == ["waits"]


def test_task_of_the_services_own_kind(errors):
    """Its methods are the service's code, which a hook of ours has no business to call."""

    class Task(asyncio.Task):
        asked = False

        def get_coro(self):
            Task.asked = True
            raise RuntimeError

    async def main():
        task = Task(asyncio.sleep(10))
        asyncio.get_running_loop().call_exception_handler({"message": "Task was destroyed", "task": task})
        asked = Task.asked
        task.cancel()
        return asked

    assert not asyncio.run(main())
    assert told(errors)["loop"] == (1.0, "", [])


class Odd(type):
    """A type of types that answers with whatever it likes."""

    def __getattribute__(cls, name):
        return 7 if name == "__qualname__" else 1 / 0


@pytest.mark.parametrize("hook", ["unraisable", "thread", "loop", "coroutine"])
@pytest.mark.parametrize(
    "argument",
    [
        None,
        "text",
        {},
        {"exception": "no exception"},
        types.SimpleNamespace(exc_type=None, exc_traceback=None, object=None),
        types.SimpleNamespace(exc_type="text", exc_traceback="text", object=object()),
        types.SimpleNamespace(exc_type=Odd("Odd", (Exception,), {}), exc_traceback=None, object=None),
        types.SimpleNamespace(cr_code="text"),
    ],
    ids=["nothing", "text", "empty", "no exception", "no type", "no types", "odd type", "no code"],
)
def test_whatever_a_hook_is_called_with(errors, hook, argument):
    """Nothing comes out of ours, and the error counts."""
    hooks = {
        "unraisable": lambda: sys.unraisablehook(argument),
        "thread": lambda: threading.excepthook(argument),
        "loop": lambda: asyncio.BaseEventLoop.call_exception_handler(None, argument),
        "coroutine": lambda: warnings._warn_unawaited_coroutine(argument),
    }
    hooks[hook]()
    assert errors.counts[hook] == 1
    number, *_ = told(errors)[hook]
    assert number == 1.0


def recursion(depth):
    """A traceback of this depth."""
    if depth:
        recursion(depth - 1)
    raise RefusedError


def test_deep_recursion():
    """Of a traceback without end a bounded part is walked, and its innermost frames are kept."""
    try:
        recursion(500)
    except RefusedError as error:
        frames = origins._frames(error.__traceback__)
    assert len(frames) == origins.MAX_FRAMES
    assert {function for function, _, _ in frames} == {"recursion"}


def test_nothing_is_kept_alive(errors):
    """The error, its frames and what they hold are gone as soon as the service lets go of them."""

    class Payload:
        pass

    def fails():
        payload = Payload()
        held.append(weakref.ref(payload))
        raise RefusedError

    held = []
    try:
        fails()
    except RefusedError as error:
        held.append(weakref.ref(error))
        context = {"message": "failed", "exception": error}
        asyncio.BaseEventLoop.call_exception_handler(None, context)
        del context, error
    told(errors)
    assert [reference() for reference in held] == [None, None]


def test_a_flood_is_looked_at_now_and_then(errors, clock, monkeypatch):
    """However many errors come, one each tenth of a second is looked at; all are counted."""
    looked = []
    monkeypatch.setattr(origins, "of_context", lambda *_: looked.append(clock.now) or ("", ()))
    made = Errors()
    for _ in range(1000):
        made._note("loop", origins.of_context, (None, {}))
        clock.now += 0.001
    assert made.counts["loop"] == 1000
    assert len(looked) == 10


def test_told_once(errors, clock):
    """What has been published is not written again; the next one is."""
    asyncio.BaseEventLoop.call_exception_handler(None, {"exception": RefusedError()})
    assert told(errors) == {"loop": (1.0, f"{__name__}.RefusedError", [])}
    assert told(errors) == {}
    clock.now += 1.0
    asyncio.BaseEventLoop.call_exception_handler(None, {"exception": KeyError()})
    assert told(errors) == {"loop": (2.0, "KeyError", [])}


@given(st.text(), st.lists(st.tuples(st.text(), st.text(), st.integers()), max_size=40))
def test_any_names_fit(name, frames):
    """Whatever a service calls its types and files, the text has room in its record."""
    assert len(origins.encode((name, tuple(frames)), layout.ERROR_BYTES)) <= layout.ERROR_BYTES


def test_path_is_not_shortened_at_its_end():
    """The end of a path tells more than its beginning."""
    text = origins.encode(("E", (("f", "/very" * 100 + "/end.py", 3),)), layout.ERROR_BYTES).decode()
    assert text.split("\t")[1].endswith(f"{os.sep}end.py")
