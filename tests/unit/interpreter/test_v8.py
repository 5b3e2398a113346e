"""The reader of V8 on a memory of the test's own making: texts of every shape, chains of frames, and damage."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.v8image import HEAP, ISOLATE, LAYOUT, STACK, Image, bounded, frame, smi, two_parts

from vitalsd.model import Frame
from vitalsd.sources.interpreter.bounded import SpentError
from vitalsd.sources.interpreter.memory import TornError
from vitalsd.sources.interpreter.v8layout import UnknownV8Error, v8_layout
from vitalsd.sources.interpreter.v8objects import MOST_LETTER_BYTES, V8Objects
from vitalsd.sources.interpreter.v8stack import V8Stack, note_of_exit

if TYPE_CHECKING:
    from collections.abc import Callable


INFERRED, MODULE = 1 << 14, 3


@pytest.fixture
def image() -> Image:
    """An empty one."""
    return Image()


SHAPES: dict[str, Callable[[Image], int]] = {
    "one byte": lambda image: image.text("checkout"),
    "joined": lambda image: image.shaped(41, 8, image.text("check"), image.text("out")),
    "joined of joined": lambda image: image.shaped(
        41, 8, image.shaped(41, 5, image.text("che"), image.text("ck")), image.text("out")
    ),
    "sliced": lambda image: image.shaped(43, 8, image.text("xxcheckoutxx"), smi(2)),
    "thin": lambda image: image.shaped(45, 8, image.text("checkout")),
    "external": lambda image: image.shaped(42, 8, 0, image.put(b"checkout")),
    "a slice of joined": lambda image: image.shaped(
        43, 8, image.shaped(41, 12, image.text("xxcheck"), image.text("outxx")), smi(2)
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_texts_of_every_shape(shape: str, image: Image) -> None:
    """A name is the same however V8 has put it together."""
    script = image.script(image.text("/srv/app.js"), image.text(""))
    function = image.function(SHAPES[shape](image), script)

    assert V8Objects(bounded(image), LAYOUT).frames([function]) == [Frame("checkout", "/srv/app.js", 0)]


def test_two_bytes_a_letter(image: Image) -> None:
    """Names that are not of ASCII, and of a URL the letters that it stands for."""
    script = image.script(image.text("file:///srv/gr%C3%B6%C3%9Fe%20x.js"), 0)

    assert V8Objects(bounded(image), LAYOUT).frames([image.function(image.text("größe中"), script)]) == [
        Frame("größe中", "/srv/größe x.js", 0)
    ]


def scope(image: Image, flags: int, *rest: int) -> int:
    """A ScopeInfo without locals."""
    return image.object(261, smi(flags), smi(0), smi(0), *rest, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("source", "start", "line"),
    [
        ("one\ntwo\nthree", 0, 1),
        ("one\ntwo\nthree", 4, 2),
        ("one\r\ntwo\rthree", 9, 3),
        ("eins\u2028zwei\nmehr", 5, 2),
        ("中\n中\n中", 4, 3),
    ],
)
def test_lines_are_counted_in_the_source(source: str, start: int, line: int, image: Image) -> None:
    """Where V8 has no line ends of a script yet: those of JavaScript, whatever the width of its letters."""
    script = image.script(image.text("a.js"), image.text(source))
    function = image.function(scope(image, INFERRED, image.text("api.get"), smi(start), smi(99)), script)

    assert V8Objects(bounded(image), LAYOUT).frames([function]) == [Frame("api.get", "a.js", line)]


def test_lines_of_many_functions(image: Image) -> None:
    """Each is its own, whatever their order on the stack, and where a script begins further down, from there."""
    script = image.script(image.text("a.js"), image.text("\n" * 100), first=10)
    places = [70, 3, 99, 3, 0]
    functions = [image.function(scope(image, 0, smi(place), smi(100)), script) for place in places]

    assert [frame.line for frame in V8Objects(bounded(image), LAYOUT).frames(functions)] == [
        11 + at for at in places
    ]


def test_line_ends_that_v8_has_made(image: Image) -> None:
    """They are used, and the source is not read."""
    ends = image.object(175, smi(3), smi(10), smi(20), smi(30))
    script = image.script(image.text("a.js"), 0, ends)
    places = [0, 10, 11, 30, 31]
    functions = [image.function(scope(image, 0, smi(place), smi(100)), script) for place in places]

    assert [frame.line for frame in V8Objects(bounded(image), LAYOUT).frames(functions)] == [1, 1, 2, 3, 4]


def test_the_line_of_a_huge_source_is_not_known(image: Image) -> None:
    """More than is read: the function is told without its line, and others with theirs."""
    source = image.shaped(42, 1 << 30, 0, image.put(b"\n" * 100))
    script = image.script(image.text("a.js"), source)
    starts = (MOST_LETTER_BYTES + 1, 50)
    functions = [image.function(scope(image, 0, smi(start), smi(1 << 29)), script) for start in starts]

    assert [frame.line for frame in V8Objects(bounded(image), LAYOUT).frames(functions)] == [0, 51]


def test_what_is_no_function_of_a_script_is_left_out(image: Image) -> None:
    """V8's own functions have none; what has been moved away is no function any more."""
    script = image.script(image.text("a.js"), 0)
    builtin = image.function(image.text("map"), image.object(131))
    torn = image.function(image.object(999), script)
    cyclic = image.shaped(41, 8, 0, image.text("x"))
    image.words(cyclic + 15, cyclic)

    functions = [builtin, torn, image.function(cyclic, script), 0x123, HEAP + 1, (1 << 64) - 1, 5]
    assert V8Objects(bounded(image), LAYOUT).frames(functions) == []


def stack_of(image: Image) -> V8Stack:
    """From its innermost end on."""
    return V8Stack(bounded(image), LAYOUT, STACK)


def test_the_chain_goes_on_beyond_c(image: Image) -> None:
    """From the frame that the isolate notes, over the entry, to the frame that this keeps, to the outermost."""
    two_parts(image)
    stack = stack_of(image)

    assert note_of_exit(bounded(image), stack) == ISOLATE + 0x180
    assert stack.functions(STACK + 0x400) == [101, 201]


def test_frames_that_are_left_over_are_not_taken(image: Image) -> None:
    """An exit frame that is intact, and further in than the one that is noted, is of a call that is over."""
    two_parts(image)
    frame(image, 0x200, 0x280, 3 << 1, STACK + 0x1C0)
    frame(image, 0x280, 0x480, HEAP + 1, 666)

    assert note_of_exit(bounded(image), stack_of(image)) == ISOLATE + 0x180


def test_no_isolate_no_note(image: Image) -> None:
    """Frames alone prove nothing."""
    two_parts(image)
    image.words(ISOLATE + 0x180, 0)

    assert note_of_exit(bounded(image), stack_of(image)) is None


def test_a_chain_that_leads_back_has_moved(image: Image) -> None:
    """Callers are further out, always."""
    two_parts(image)
    frame(image, 0x500, 0x480, 22 << 1, 7)

    with pytest.raises(TornError):
        stack_of(image).functions(STACK + 0x400)


def test_no_more_is_read_than_may_be(image: Image) -> None:
    """Beyond it there is an end, whatever there is to read."""
    two_parts(image)
    memory = bounded(image, 100)
    memory.read(STACK, 60)
    with pytest.raises(SpentError):
        memory.read_most(STACK, 60)


@settings(deadline=None)
@given(st.data())
def test_garbage_comes_to_nothing(data: st.DataObject) -> None:
    """Whatever is in the place of frames and objects: no answer is the worst of it."""
    image = Image()
    two_parts(image)
    scope_info = scope(image, data.draw(st.integers(0, 1 << 31)), smi(3), smi(9))
    script = image.script(image.text("a.js"), image.text("x\ny"))
    functions = [image.function(scope_info, script), image.function(image.text("f"), script)]
    for _ in range(data.draw(st.integers(1, 20))):
        begin, size = data.draw(st.sampled_from([(HEAP, 1024), (STACK, 0x900)]))
        at = data.draw(st.integers(0, size // 8 - 1)) * 8
        word = data.draw(
            st.one_of(
                st.integers(0, (1 << 64) - 1),
                st.integers(0, 1024).map(lambda near: HEAP + near),
                st.integers(0, 0x900).map(lambda near: STACK + near),
                st.integers(-(1 << 31), (1 << 31) - 1).map(lambda number: number << 32 & (1 << 64) - 1),
            )
        )
        image.words(begin + at, word)

    found = V8Objects(bounded(image), LAYOUT).frames(functions)
    assert all(isinstance(one, Frame) for one in found)
    try:
        stack_of(image).functions(STACK + 0x400)
        note_of_exit(bounded(image), stack_of(image))
    except (TornError, SpentError):
        pass


def symbols(**told: int) -> tuple[Image, Callable[[bytes], int | None]]:
    """A memory with numbers, and where each is."""
    image = Image()
    places = {b"v8dbg_" + name.encode(): image.put(struct.pack("<i", number)) for name, number in told.items()}
    return image, places.get


def test_whose_memory_is_not_known() -> None:
    """No V8 at all is no answer; compressed pointers, or symbols that are missing, are a reason."""
    assert v8_layout(*symbols()) is None
    with pytest.raises(UnknownV8Error, match="compressed pointers"):
        v8_layout(*symbols(TaggedSize=4, SmiShiftSize=0))
    with pytest.raises(UnknownV8Error, match="has no v8dbg_"):
        v8_layout(*symbols(TaggedSize=8, SmiShiftSize=31, frametype_ExitFrame=3, frametype_EntryFrame=1))
