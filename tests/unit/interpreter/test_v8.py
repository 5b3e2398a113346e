"""The reader of V8 on a memory of the test's own making: texts of every shape, chains of frames, and damage."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.model import Frame
from vitalsd.sources.interpreter.bounded import BoundedMemory, SpentError
from vitalsd.sources.interpreter.memory import TornError
from vitalsd.sources.interpreter.v8layout import UnknownV8Error, V8Layout, v8_layout
from vitalsd.sources.interpreter.v8objects import MOST_LETTER_BYTES, V8Objects
from vitalsd.sources.interpreter.v8stack import V8Stack, note_of_exit

if TYPE_CHECKING:
    from collections.abc import Callable

LAYOUT = V8Layout(
    state=48,
    function_context=32,
    first_context=150,
    last_context=160,
    exits=frozenset({3, 25}),
    entries=frozenset({1, 2}),
    frame_kind=-8,
    frame_function=-16,
    map=0,
    map_type=12,
    function_shared=24,
    shared_type=262,
    shared_name=16,
    shared_script=32,
    scope_type=261,
    scope_first=3,
    scope_locals=2,
    script_type=167,
    script_name=16,
    script_source=8,
    script_line_ends=56,
    array_type=175,
    array_length=8,
    array_items=16,
    first_no_text=128,
    text_shape_mask=7,
    text_one_byte=8,
    sequential=0,
    joined=1,
    external=2,
    sliced=3,
    thin=5,
    text_length=12,
    text_letters=16,
    joined_first=16,
    joined_second=24,
    sliced_parent=16,
    sliced_offset=24,
    thin_actual=16,
    external_resource=16,
)
"""Of Node 20."""
HEAP, STACK, ISOLATE = 0x10000000, 0x7F0000000000, 0x20000000
INFERRED, MODULE = 1 << 14, 3


class Image:
    """A memory: a heap that objects are put into, a stack, an isolate."""

    def __init__(self) -> None:
        self.parts: dict[int, bytearray] = {
            HEAP: bytearray(1 << 20),
            STACK: bytearray(1 << 14),
            ISOLATE: bytearray(4096),
        }
        self._free = HEAP + 64
        self._maps: dict[int, int] = {}

    def read(self, address: int, size: int) -> bytes:
        """Exactly so many bytes."""
        found = self.read_most(address, size)
        if len(found) < size:
            raise TornError
        return found

    def read_most(self, address: int, size: int) -> bytes:
        """Up to so many."""
        for begin, part in self.parts.items():
            if begin <= address < begin + len(part):
                return bytes(part[address - begin : address - begin + size])
        raise TornError

    def write(self, address: int, text: bytes) -> None:
        """Put bytes there."""
        begin = max(each for each in self.parts if each <= address)
        self.parts[begin][address - begin : address - begin + len(text)] = text

    def words(self, address: int, *words: int) -> None:
        """Put words there."""
        self.write(address, struct.pack(f"<{len(words)}Q", *words))

    def put(self, text: bytes) -> int:
        """Somewhere in the heap."""
        at, self._free = self._free, self._free + (len(text) + 15) // 8 * 8
        self.write(at, text)
        return at

    def map(self, kind: int) -> int:
        """The map of a type."""
        if kind not in self._maps:
            self._maps[kind] = self.put(struct.pack("<QIHH", 0, 0, kind, 0)) + 1
        return self._maps[kind]

    def object(self, kind: int, *words: int) -> int:
        """One of this type: its address, tagged."""
        return self.put(struct.pack(f"<{len(words) + 1}Q", self.map(kind), *words)) + 1

    def text(self, text: str) -> int:
        """In one piece."""
        wide = not text.isascii()
        letters = text.encode("utf-16-le" if wide else "ascii")
        head = struct.pack("<QII", self.map(32 if wide else 40), 0, len(letters) // (2 if wide else 1))
        return self.put(head + letters) + 1

    def shaped(self, kind: int, length: int, *words: int) -> int:
        """Of others."""
        return self.put(struct.pack(f"<QII{len(words)}Q", self.map(kind), 0, length, *words)) + 1

    def script(self, name: int, source: int, ends: int = 0, first: int = 0) -> int:
        """A Script."""
        return self.object(167, source, name, smi(first), 0, 0, 0, ends)

    def function(self, name: int, script: int) -> int:
        """A JSFunction of this name or ScopeInfo."""
        return self.object(2066, 0, 0, self.object(262, 0, name, 0, script))


def smi(value: int) -> int:
    """A small integer."""
    return value << 32


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


def frame(image: Image, at: int, caller: int, kind: int, function: int = 0) -> int:
    """A frame at this distance from the innermost end of the stack."""
    image.words(STACK + at - 16, function, kind, STACK + caller if caller else 0)
    return STACK + at


def two_parts(image: Image) -> None:
    """JavaScript that C++ has called, and that has called C++ itself."""
    frame(image, 0x400, 0x480, 25 << 1, STACK + 0x3C0)
    frame(image, 0x480, 0x500, HEAP + 1, 101)
    frame(image, 0x500, 0x580, 22 << 1, 7)
    frame(image, 0x580, 0x600, 1 << 1)
    image.words(STACK + 0x580 - 64, STACK + 0x700)
    frame(image, 0x700, 0x780, 3 << 1, STACK + 0x6F0)
    frame(image, 0x780, 0x800, HEAP + 1, 201)
    frame(image, 0x800, 0x900, 1 << 1)
    image.words(ISOLATE + 0x180, STACK + 0x400)
    for place in range(0x10, 0x50, 8):
        image.words(STACK + place, ISOLATE)


def stack_of(image: Image) -> V8Stack:
    """From its innermost end on."""
    return V8Stack(bounded(image), LAYOUT, STACK)


def bounded(image: Image, most: int = 2 << 20) -> BoundedMemory:
    """So much of it, at a clock that stands."""
    return BoundedMemory(image, most, 1.0, lambda: 0.0)  # type: ignore[arg-type]


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
