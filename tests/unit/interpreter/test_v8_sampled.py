"""What a sample of a thread shows, on a memory of the test's own making: chains of frames, queues, and damage."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.v8image import HEAP, ISOLATE, LAYOUT, STACK, Image, bounded, frame, smi, two_parts

from vitalsd.sources.interpreter.bounded import SpentError
from vitalsd.sources.interpreter.memory import TornError
from vitalsd.sources.interpreter.v8queues import microtasks_of, microtasks_taken, ticks_of, ticks_taken
from vitalsd.sources.interpreter.v8sampled import Sampled, functions_of
from vitalsd.sources.perf import UserSample

NOTE = ISOLATE + 0x180


@pytest.fixture
def image() -> Image:
    """An empty one."""
    return Image()


def sample(image: Image, at: int, *registers: int) -> UserSample:
    """The frame pointer is at this place of the stack, a little further in is where the stack ends."""
    begin = STACK + at - 0x40
    return UserSample(1.0, begin, STACK + at, registers, image.read_most(begin, 0x1000))


def entry(image: Image, at: int, context: int) -> None:
    """A frame by which C++ has called JavaScript, with this context."""
    frame(image, at, 0x900, 1 << 1, context)


def found(image: Image, taken: UserSample, note: int | None = None) -> Sampled | None:
    """What it shows."""
    return functions_of(bounded(image), LAYOUT, taken, note)


def test_javascript_that_runs(image: Image) -> None:
    """From the frame pointer outwards to where C++ has called, and to what the innermost frame refers to."""
    context = image.object(LAYOUT.first_context)
    frame(image, 0x300, 0x380, HEAP + 1, 301)
    frame(image, 0x380, 0x400, HEAP + 1, 401)
    entry(image, 0x400, context)
    image.words(STACK + 0x2D0, 777)
    shown = found(image, sample(image, 0x300, 1001, 1000))
    assert shown is not None
    assert shown.functions == [301, 401]
    assert not shown.builtin
    assert {777, 1001} <= set(shown.held)
    assert 1000 not in shown.held


def test_a_builtin_between_two_microtasks(image: Image) -> None:
    """Frames of V8's own kinds alone, below C++: there is no function, and that is what it shows."""
    frame(image, 0x380, 0x400, 22 << 1, 7)
    entry(image, 0x400, image.object(LAYOUT.first_context))
    assert found(image, sample(image, 0x380)) == Sampled([], None, builtin=True)


def test_a_saved_register_is_no_entry(image: Image) -> None:
    """A frame of C++ in which the number of an entry stands by chance: nothing is told, where nothing is known."""
    frame(image, 0x300, 0x380, 22 << 1, 7)
    frame(image, 0x380, 0x3C0, 1 << 1, 5)
    assert found(image, sample(image, 0x300)) is None
    frame(image, 0x380, 0x3C0, 1 << 1, image.object(131))
    assert found(image, sample(image, 0x300)) is None


def test_c_that_javascript_has_called(image: Image) -> None:
    """The chain passes the frame in which JavaScript was left: what is further in is nobody's function."""
    two_parts(image)
    frame(image, 0x300, 0x400, HEAP + 1, 666)
    shown = found(image, sample(image, 0x300))
    assert shown == Sampled([101, 201], None)


def test_c_that_uses_the_register_for_something_else(image: Image) -> None:
    """Then the isolate's note is asked, and believed only while it is of this stack."""
    two_parts(image)
    broken = UserSample(1.0, STACK + 0x100, 0xDEAD, (), image.read_most(STACK + 0x100, 0x1000))
    assert found(image, broken, NOTE) == Sampled([101, 201], NOTE)
    image.words(NOTE, STACK + 0x40)
    assert found(image, broken, NOTE) is None
    image.words(NOTE, 0)
    assert found(image, broken, NOTE) is None


@settings(deadline=None)
@given(st.data())
def test_garbage(data: st.DataObject) -> None:
    """Whatever the stack holds, there is an answer, or it makes no sense."""
    image = Image()
    two_parts(image)
    words = st.one_of(
        st.integers(0, (1 << 64) - 1), st.integers(0, 64), st.integers(STACK, STACK + 0x4000), st.just(HEAP + 1)
    )
    for _ in range(data.draw(st.integers(1, 30))):
        image.words(STACK + 8 * data.draw(st.integers(0, 0x200)), data.draw(words))
    taken = UserSample(1.0, STACK, data.draw(words), (data.draw(words),), image.read_most(STACK, 0x1000))
    try:
        shown = found(image, taken, data.draw(st.sampled_from([None, NOTE])))
    except (TornError, SpentError):
        return
    assert shown is None or len(shown.functions) < 10_000


def ticks(image: Image, first: int, last: int) -> tuple[int, int]:
    """A function whose context has a queue of ticks, and the queue."""
    buffer = image.object(1100, 0, 0, smi(first), smi(last), image.object(175), image.object(131))
    queue = image.object(1101, 0, 0, buffer, buffer)
    other = image.object(1102, 0, 0, smi(1), smi(2))
    context = image.object(LAYOUT.first_context, smi(6), 0, 0, smi(3), other, queue)
    return image.object(2066, 0, 0, 0, context), queue


def test_the_queue_of_ticks(image: Image) -> None:
    """It is found by its shape, and goes on."""
    function, queue = ticks(image, 7, 9)
    assert ticks_of(bounded(image), LAYOUT, function) == queue
    before = ticks_taken(bounded(image), queue)
    assert before is not None
    assert before[1] == 7
    image.words(before[0] - 1 + 24, smi(8))
    assert ticks_taken(bounded(image), queue) == (before[0], 8)


def test_what_is_no_queue_of_ticks(image: Image) -> None:
    """More than a buffer has, or no small number."""
    for first in (smi(2048), smi(1 << 20), 5, image.text("x")):
        function, queue = ticks(image, 7, 9)
        buffer = struct.unpack("<Q", image.read(queue - 1 + 24, 8))[0]
        image.words(buffer - 1 + 24, first)
        assert ticks_taken(bounded(image), queue) is None
        assert ticks_of(bounded(image), LAYOUT, function) is None


def test_the_queue_of_microtasks(image: Image) -> None:
    """It leads back to itself; how many were taken is told."""
    queue = image.put(bytes(64))
    image.words(queue, 0x2C05F70, 0, 8, 4, HEAP + 8, 2341, queue, queue)
    assert microtasks_of(bounded(image), [5, HEAP, queue + 1, queue]) == queue
    assert microtasks_taken(bounded(image), queue) == 2341
    for broken in ((0, 0, 7, 4), (0, 0, 8, 8), (0, 9, 8, 0), (0, 0, 4, 0)):
        image.words(queue, *broken)
        assert microtasks_taken(bounded(image), queue) is None
    image.words(queue, 0, 0, 8, 4, 0, 1, queue, HEAP)
    assert microtasks_of(bounded(image), [queue]) is None
