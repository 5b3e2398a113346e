"""
Decodes what is needed of V8's objects to name a function: its name, its script's name, the line that it begins
at.

Each object is checked for its type, so that what a collection has moved meanwhile is told from what was looked
for. Names of functions and files are all that leaves this module: no value of the service is decoded, and of a
source only its ends of lines are counted.

The line is where the function begins, and not where it is at: V8 notes positions within a function only once it
needed them. It is that of the array of line ends, where V8 has made one for the script, else counted in the
source. Where neither is to be had (no source, or more of it than may be read), it is 0.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from urllib.parse import unquote

import msgspec

from vitalsd.model import Frame, anonymous
from vitalsd.sources.interpreter.bounded import BoundedMemory
from vitalsd.sources.interpreter.memory import POINTER, TornError
from vitalsd.sources.interpreter.v8layout import V8Layout

__all__ = ["V8Objects", "is_object", "small_integer"]

TAG = 1
MOST_LETTERS = 4096
"""Of a name."""
MOST_LETTER_BYTES = 1 << 20
"""Of all names and sources."""
MOST_PARTS = 64
"""Of a text that has been joined from others, and of those in turn."""
MOST_LOCALS = 1 << 16
INLINED_LOCALS = 75
"""`kScopeInfoMaxInlinedLocalNamesSize`: so many names, and there is one table of them instead."""
SAVED_CLASS, FUNCTION_NAME, INFERRED_NAME = 1 << 10, 0b11 << 12, 1 << 14
"""Of `ScopeFlags`: which parts a ScopeInfo has."""
POSITIONS_FIRST = 5
"""From V8 12.9 on positions are before all parts, and flags are a plain number."""
SCOPE_KIND = 0b1111
EXTERNAL_UNCACHED = 0x10
"""Of the type of an external text: it does not note where its letters are."""
HEAD_BYTES = 72
"""As far as what is asked for of a Script goes, or a text of 56 letters."""
HEAD = struct.Struct("<QII")
"""Of a text: its map, its hash, its length."""
SHORT = struct.Struct("<H")
SEPARATORS = "\u2028\u2029"


def is_object(word: int) -> bool:
    """Whether a word is the address of an object, and no small integer."""
    return word & 0b11 == TAG


def small_integer(word: int) -> int:
    """Its value; TornError if it is none."""
    if word & 0xFFFFFFFF:
        raise TornError
    return word >> 32 if word < 1 << 63 else (word >> 32) - (1 << 32)


def _start(words: tuple[int, ...]) -> int | None:
    """Of a pair of positions the first: of a module, a count may have come between (V8 12.4)."""
    for pair in (words[:2], words[1:3]):
        with suppress(TornError):
            start, end = map(small_integer, pair)
            if 0 <= start <= end:
                return start
    return None


class _Function(msgspec.Struct, frozen=True):
    """What is to be known of one."""

    name: str
    file: str
    script: int
    start: int | None
    """Where it begins in its script, in letters."""


class V8Objects:
    """Those of one process, at one moment."""

    def __init__(self, memory: BoundedMemory, layout: V8Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._heads: dict[int, bytes] = {}
        """By object: most of what is asked for lies there, and a read costs more than its bytes."""
        self._types: dict[int, int] = {}
        """By map."""
        self._begins: dict[tuple[int, int | None], int] = {}
        """Of a position in a script, its line."""
        self._files: dict[int, str] = {}
        """By script."""
        self._letters_left = MOST_LETTER_BYTES

    def frames(self, functions: list[int]) -> list[Frame]:
        """What JSFunctions are called and where they are from, without those that are V8's own, or none at all."""
        found = [known for known in map(self._function, functions) if known is not None]
        places = {(known.script, known.start) for known in found if known.start is not None}
        self._begins.update(self._lines(places - self._begins.keys()))
        begins = [self._begins.get((known.script, known.start), 0) for known in found]
        return [
            Frame(known.name or anonymous(begin), known.file, begin)
            for known, begin in zip(found, begins, strict=True)
        ]

    def named(self, function: int) -> tuple[str, str] | None:
        """The name of a function and its file; None if it is none, or none of a script."""
        known = self._function(function)
        return (known.name, known.file) if known is not None else None

    def _function(self, function: int) -> _Function | None:
        layout = self._layout
        try:
            shared = self._word(function, layout.function_shared)
            if self._type(shared) != layout.shared_type:
                return None
            script = self._word(shared, layout.shared_script)
            if self._type(script) != layout.script_type:
                return None
            name, start = self._named(self._word(shared, layout.shared_name))
            return _Function(name, self._file(script), script, start)
        except TornError:
            return None

    def _named(self, named: int) -> tuple[str, int | None]:
        """The name of a function and where it begins, from its name or its ScopeInfo."""
        layout = self._layout
        kind = self._type(named)
        if kind < layout.first_no_text:
            return self._text(named), None
        if kind != layout.scope_type:
            raise TornError
        return self._scope(named)

    def _scope(self, scope: int) -> tuple[str, int | None]:
        layout, first = self._layout, self._layout.scope_first
        head = self._words(scope + 7, first + 1)
        flags = head[0] if first >= POSITIONS_FIRST else small_integer(head[0])
        count = small_integer(head[layout.scope_locals])
        if not 0 <= count < MOST_LOCALS:
            raise TornError
        at = first + count + (count if count < INLINED_LOCALS else 1)
        at += bool(flags & SAVED_CLASS)
        rest = self._words(scope + 7 + 8 * at, 6)
        name = inferred = ""
        if flags & FUNCTION_NAME:
            name, rest = self._optional_text(rest[0]), rest[2:]
        if flags & INFERRED_NAME:
            inferred, rest = self._optional_text(rest[0]), rest[1:]
        return name or inferred, _start(head[first - 2 :] if first >= POSITIONS_FIRST else rest)

    def _file(self, script: int) -> str:
        if script not in self._files:
            name = self._optional_text(self._word(script, self._layout.script_name))
            self._files[script] = unquote(name.removeprefix("file://")) if name.startswith("file://") else name
        return self._files[script]

    def _optional_text(self, address: int) -> str:
        """The text; empty where there is something else instead."""
        is_text = is_object(address) and self._type(address) < self._layout.first_no_text
        return self._text(address) if is_text else ""

    def _lines(self, places: set[tuple[int, int]]) -> dict[tuple[int, int | None], int]:
        """The lines of positions in scripts, as far as they are to be had: each letter is read once."""
        found: dict[tuple[int, int | None], int] = {}
        counted = 0, 0, 0
        for script, position in sorted(places):
            known, until, line = counted if counted[0] == script else (script, 0, 0)
            with suppress(TornError):
                first = small_integer(self._word(script, self._layout.script_name + POINTER.size))
                ends = self._word(script, self._layout.script_line_ends)
                if is_object(ends) and self._type(ends) == self._layout.array_type:
                    line = self._ends_before(ends, position)
                else:
                    line += self._ends_between(script, until, position)
                    counted = known, position, line
                found[script, position] = first + line + 1
        return found

    def _ends_before(self, ends: int, position: int) -> int:
        """How many of the ends of lines, which are in their order, are before this position."""
        layout = self._layout
        low, high = 0, small_integer(self._word(ends, layout.array_length))
        while low < high:
            middle = (low + high) // 2
            if small_integer(self._word(ends, layout.array_items + 8 * middle)) < position:
                low = middle + 1
            else:
                high = middle
        return low

    def _ends_between(self, script: int, start: int, stop: int) -> int:
        """How many lines end in this part of the source."""
        part = self._letters(self._word(script, self._layout.script_source), start, stop)
        returns = part.count("\r") - part.count("\r\n")
        return part.count("\n") + returns + sum(map(part.count, SEPARATORS))

    def _text(self, address: int) -> str:
        length = self._length(address)
        if length > MOST_LETTERS:
            raise TornError
        return self._letters(address, 0, length)

    def _length(self, address: int) -> int:
        return int(HEAD.unpack(self._bytes(address, 0, HEAD.size))[2])

    def _letters(self, address: int, start: int, stop: int) -> str:
        """A part of a text, of whatever shape it is."""
        found: list[str] = []
        wanted = [(address, start, stop)]
        for _ in range(MOST_PARTS):
            if not wanted:
                return "".join(found)
            address, start, stop = wanted.pop()
            if start < 0 or stop > self._length(address):
                raise TornError
            if start < stop:
                wanted += self._part(address, start, stop, found)
        raise TornError

    def _part(self, address: int, start: int, stop: int, found: list[str]) -> list[tuple[int, int, int]]:
        """What is found of it here, and where else to look, the last first."""
        layout = self._layout
        kind = self._type(address)
        if kind >= layout.first_no_text:
            raise TornError
        shape = kind & layout.text_shape_mask
        if shape == layout.joined:
            first, second = self._word(address, layout.joined_first), self._word(address, layout.joined_second)
            middle = self._length(first)
            parts = [(second, max(start - middle, 0), stop - middle), (first, start, min(stop, middle))]
            return [part for part in parts if part[1] < part[2]]
        if shape == layout.sliced:
            offset = small_integer(self._word(address, layout.sliced_offset))
            return [(self._word(address, layout.sliced_parent), start + offset, stop + offset)]
        if shape == layout.thin:
            return [(self._word(address, layout.thin_actual), start, stop)]
        at, origin = layout.text_letters, address
        if shape == layout.external:
            if kind & EXTERNAL_UNCACHED:
                raise TornError
            at, origin = TAG, self._word(address, layout.external_resource + POINTER.size)
        elif shape != layout.sequential:
            raise TornError
        width, encoding = (1, "latin-1") if kind & layout.text_one_byte else (2, "utf-16-le")
        size = width * (stop - start)
        if size > self._letters_left:
            raise TornError
        self._letters_left -= size
        found.append(self._bytes(origin, at + width * start, size).decode(encoding, "replace"))
        return []

    def _type(self, address: int) -> int:
        """The type of an object, as its map has it."""
        kind = self._word(address, self._layout.map)
        if kind not in self._types:
            if not is_object(address) or not is_object(kind):
                raise TornError
            at = kind - TAG + self._layout.map_type
            self._types[kind] = SHORT.unpack(self._memory.read(at, SHORT.size))[0]
        return self._types[kind]

    def _word(self, address: int, offset: int) -> int:
        word: int = POINTER.unpack(self._bytes(address, offset, POINTER.size))[0]
        return word

    def _words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", self._memory.read(address, 8 * count))

    def _bytes(self, address: int, offset: int, size: int) -> bytes:
        """A part of an object."""
        if offset + size > HEAD_BYTES:
            return self._memory.read(address - TAG + offset, size)
        head = self._heads.get(address)
        if head is None:
            head = self._heads[address] = self._memory.read_most(address - TAG, HEAD_BYTES)
        if offset + size > len(head):
            raise TornError
        return head[offset : offset + size]
