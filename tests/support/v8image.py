"""A memory of the tests' own making, with objects of V8's and a stack in it."""

from __future__ import annotations

import struct

from vitalsd.sources.interpreter.bounded import BoundedMemory
from vitalsd.sources.interpreter.memory import TornError
from vitalsd.sources.interpreter.v8layout import V8Layout

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


def bounded(image: Image, most: int = 2 << 20) -> BoundedMemory:
    """So much of it, at a clock that stands."""
    return BoundedMemory(image, most, 1.0, lambda: 0.0)  # type: ignore[arg-type]
