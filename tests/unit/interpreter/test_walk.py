"""From a thread's number to the turn of its loop, in memory that is whole, changes, or is anything at all."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalsd.sources.interpreter.frames import NO_ITERATION, TURNED, Frames, Iteration
from vitalsd.sources.interpreter.layout import LAYOUTS
from vitalsd.sources.interpreter.memory import TornError
from vitalsd.sources.interpreter.threads import Place, Threads

from .conftest import BELOW, INTERPRETER, ITERATION, NEW, RUNTIME, THREAD, TYPES

BEGAN, READY, RUNS = 0x70000, 0x70100, 0x70200


@pytest.fixture
def turning(small):
    """In the third of forty callbacks, at 12.5 s."""
    small.float(BEGAN, 12.5)
    small.int(READY, 40)
    small.int(RUNS, 2)
    for name, address in (("end_time", BEGAN), ("ntodo", READY), ("i", RUNS)):
        small.local(name, address)
    return small


def test_the_thread_and_its_turn(turning):
    """The frame is found below others, and the three locals by their names."""
    assert turning.threads.plausible()
    assert turning.threads.find(77, 1.0) == Place(INTERPRETER, NEW)
    assert turning.frames.iteration(NEW, 1.0) == Iteration(12.5, 40, 3)


def test_another_number_is_no_thread(turning):
    """A thread that has nothing to do with Python is not taken for another."""
    assert turning.threads.find(78, 1.0) is None


def test_a_thread_that_has_left_the_list(turning):
    """What lies where a known thread was is not believed when nothing leads there any more."""
    turning.threads.find(77, 1.0)
    turning.word(INTERPRETER + turning.layout.interpreter_threads, 0)
    assert turning.threads.find(77, 1.1) is None


def test_known_code_is_not_read_again(turning):
    """A second walk reads frames and locals only."""
    turning.frames.iteration(NEW, 1.0)
    turning.reads = 0
    turning.frames.iteration(NEW, 1.1)
    assert turning.reads <= 12


def test_code_is_looked_at_again_in_time(turning):
    """Where one function's code was, that of the iteration may be later."""
    turning.code(0x60000, "other", "/srv/app.py", ("x",))
    assert turning.frames.iteration(NEW, 1.0) == NO_ITERATION
    turning.code(0x60000, "_run_once", "asyncio/base_events.py", ("self", "end_time", "ntodo", "i"))
    assert turning.frames.iteration(NEW, 2.0) == NO_ITERATION
    assert turning.frames.iteration(NEW, 12.0) == Iteration(12.5, 40, 3)


@pytest.mark.parametrize(("name", "file"), [("_run_once", "/srv/own.py"), ("run", "asyncio/base_events.py")])
def test_only_asyncios_own_iteration_counts(turning, name, file):
    """A function of that name elsewhere has locals of its own."""
    turning.code(0x60000, name, file, ("self", "end_time", "ntodo", "i"))
    assert turning.frames.iteration(NEW, 1.0) == NO_ITERATION


def test_before_the_callbacks_there_is_no_turn(small):
    """In its select a frame is new, and has no such locals: the loop is between two turns."""
    assert small.frames.iteration(NEW, 1.0) == TURNED


@pytest.mark.parametrize(
    ("name", "address", "expected"),
    [
        ("end_time", READY, NO_ITERATION),
        ("ntodo", BEGAN, Iteration(12.5)),
        ("ntodo", 0, Iteration(12.5)),
        ("i", 0, Iteration(12.5, 40, 0)),
        ("i", BEGAN, Iteration(12.5, 40)),
        ("i", READY, Iteration(12.5, 40)),
    ],
)
def test_what_is_not_what_it_should_be_is_not_told(turning, name, address, expected):
    """Another type, a number beyond its bounds: left out, and with the beginning all the rest."""
    turning.local(name, address)
    assert turning.frames.iteration(NEW, 1.0) == expected


def test_a_turn_that_ends_while_it_is_read(turning):
    """When the float is another one each time it is looked at, no number is told, but that it turns."""
    read, count = turning.read, iter(range(1, 100))

    def reading(address, size):
        if address == BEGAN:
            turning.float(BEGAN, 12.5 + next(count))
        return read(address, size)

    turning.read = reading
    assert turning.frames.iteration(NEW, 1.0) == TURNED


def test_a_turn_whose_callers_cannot_be_followed(turning):
    """Where the frame lay before, a later time shows that the loop turns; the same one, or none, shows nothing."""
    assert turning.frames.iteration(NEW, 1.0).began == 12.5
    nowhere = 0x5555
    assert turning.frames.iteration(nowhere, 1.0) == NO_ITERATION
    turning.float(BEGAN, 12.75)
    assert turning.frames.iteration(nowhere, 1.0) == TURNED
    assert turning.frames.iteration(nowhere, 1.0) == NO_ITERATION
    for other in (12.5, -1.0, 1e9):
        turning.float(BEGAN, other)
        assert turning.frames.iteration(nowhere, 1.0) == NO_ITERATION


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("after", range(1, 14))
def test_counts_are_of_the_turn_they_are_told_with(turning, known, after):
    """A turn that follows at any moment, with its time where the last one had it, keeps its own count."""
    if known:
        turning.frames.iteration(NEW, 1.0)
    read, count = turning.read, iter(range(1, 1000))

    def reading(address, size):
        found = read(address, size)
        if address in (ITERATION, BEGAN, READY, RUNS) and next(count) == after:
            turning.float(BEGAN, 13.5)
            turning.int(0x70300, 7)
            turning.local("ntodo", 0x70300)
        return found

    turning.read = reading
    told = turning.frames.iteration(NEW, 1.0)
    assert (told.began, told.ready) in ((12.5, 40), (13.5, 7), (None, None))


def test_frames_that_lead_in_a_circle(turning):
    """A walk ends, wherever it leads."""
    turning.frame(BELOW, 0x50000, NEW)
    assert turning.frames.iteration(NEW, 1.0) == NO_ITERATION


def test_threads_that_lead_in_a_circle(turning):
    """And so does a search."""
    turning.word(THREAD + turning.layout.thread_next, THREAD)
    assert turning.threads.find(78, 1.0) is None


@pytest.mark.parametrize(("text", "expected"), [(b"\0\0\0\0", False), (b"\1\0\0\0", True), (b"\2\0\0\0", None)])
def test_collecting(small, text, expected):
    """It is yes or no; anything else is not what it was taken for."""
    small.put(small.collecting_at, text)
    assert small.threads.collecting(INTERPRETER) is expected
    assert small.threads.collecting(None) is expected


def test_another_layout_is_refused(small):
    """The list of the young that leads elsewhere shows that fields have moved."""
    base = RUNTIME if small.layout.gc_in_runtime else INTERPRETER
    small.word(base + small.layout.gc_generation0, 1)
    assert not small.threads.plausible()


class Anything:
    """Memory in which each address has something, much of it addresses and types."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.likely = [NEW, BELOW, ITERATION, THREAD, INTERPRETER, RUNTIME, 0, 1, 40, *TYPES.__struct_fields__]

    def read(self, _, size):
        """Something else each time."""
        if self.random.random() < 0.05:
            raise TornError
        found = b""
        while len(found) < size:
            likely = self.random.choice(self.likely)
            word = getattr(TYPES, likely) if isinstance(likely, str) else likely
            found += (word if self.random.random() < 0.8 else self.random.getrandbits(64)).to_bytes(8, "little")
        return found[:size]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(LAYOUTS)), st.integers(), st.integers(0, 2**64 - 1))
def test_any_memory_is_survived(version, seed, frame):
    """Nothing is raised but what says that it makes no sense, and a number is one that can be."""
    memory, layout = Anything(seed), LAYOUTS[version]
    threads, frames = Threads(memory, layout, RUNTIME, 77), Frames(memory, layout, TYPES)
    for now in (1.0, 1.5, 20.0):
        threads.find(77, now)
        assert threads.collecting(None) in (True, False, None)
        told = frames.iteration(frame, now)
        assert told.ready is None or 0 <= told.ready < 10**8
        assert told.ran is None or (told.ready is not None and 0 <= told.ran <= told.ready)
    with contextlib.suppress(TornError):
        threads.plausible()
