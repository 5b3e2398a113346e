"""
How objects of this interpreter lie in memory, read from copies of it; where they do not lie so, nothing is read.

Dicts, their tables, the attributes of instances and strings change from version to version. So each is first found
in objects that are made for it, and `Refused` says which was not. Copies go to two buffers whose addresses are
known and left out of a search: else what was copied before would be found again.

To read one object is one read of /proc/self/mem, 2 us. Nothing is asked of the object itself.
"""

from __future__ import annotations

import os
import struct
import sys
from types import CodeType

from .protocol import Refused

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from .memory import Memory

CHUNK, SMALL = 1 << 15, 1 << 13
COMPACT = sys.version_info >= (3, 11)
"""The head of a dict's table is shorter, and tells what its entries are."""
VALUES_BEFORE = {(3, 11): (32, 0), (3, 12): (24, 1)}.get(sys.version_info[:2])
"""How far before an instance the address of its attributes is, and what is to be added to it."""
DICT_BEFORE = 24 if COMPACT else 0
"""How far before an instance the address of its dict is; 0 where it is within."""
INLINE = sys.version_info >= (3, 13)
"""Its attributes come after the instance."""
MANAGED, HAS_INLINE = 1 << 4, 1 << 2
"""Flags of types whose instances have these."""
TYPE_DICT = 264
FRAME_CODE, VALUE_STACK = (0, 0) if COMPACT else (32, 64)
"""Where a frame that is an object, before 3.11, has its code, and where its variables end."""
TYPE_WORDS = 128
MOST_ATTRIBUTES = 31
MOST_NAME = 100
"""Bytes: what is longer is no name."""
TEXT = 40 if sys.version_info >= (3, 12) else 48
MOST_FIELDS = 40
VARIABLES = 43
KNOWN = sys.intern("vitalsd_known")


class Frame:
    """Where in a frame that is no object, since 3.11, its code, its globals and its variables are."""

    def __init__(self, code: int, own_globals: int, variables: int) -> None:
        self.code, self.globals, self.variables = code, own_globals, variables


FRAME = None if not COMPACT else Frame(0, 24, 72) if sys.version_info >= (3, 12) else Frame(32, 8, 72)


class Known:
    """An instance to find out by where attributes are."""

    def __init__(self, value: object) -> None:
        self.vitalsd_known = value


def _made() -> Any:
    """A function whose qualified name is another than its name, to find out by where it is."""

    def known(mark: object) -> Generator[object, None, None]:
        yield mark

    return known


class Copies:
    """Two buffers that memory is copied to: one to search in, one to look at single things."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.large, self.small = bytearray(CHUNK), bytearray(SMALL)
        self._mine = [(self._place(buffer), len(buffer)) for buffer in (self.large, self.small)]

    def _place(self, buffer: bytearray) -> int:
        """Where a buffer's bytes are: it has the address, and is made to prove it."""
        words = struct.unpack("<6Q", self.memory.read(id(buffer), 48).ljust(48, b"\0"))
        buffer[:16] = mark = os.urandom(16)
        if self.memory.read(words[5], 16) != mark:
            raise Refused("buffers of this interpreter do not lie in memory as the probe knows them")
        return int(words[5])

    def is_mine(self, address: int) -> bool:
        """Whether this lies in a copy."""
        return any(start <= address < start + length for start, length in self._mine)

    def words(self, start: int, count: int) -> tuple[int, ...]:
        """So many words from here on; fewer where memory ends, none where there is none."""
        buffer = self.small if count * 8 <= SMALL else self.large
        read = self.memory.copy(start, memoryview(buffer)[: count * 8]) if 0 < start < 1 << 56 else 0
        return struct.unpack_from("<%dQ" % (read // 8), buffer)

    def word(self, address: int) -> int:
        """One word; 0 where there is none."""
        found = self.words(address, 1)
        return found[0] if found else 0

    def letters(self, start: int, length: int) -> str:
        """So many letters."""
        read = self.memory.copy(start, memoryview(self.small)[:length])
        return self.small[:read].decode("ascii", "replace")


class Table:
    """The table of a dict, or of the attributes that instances of a class have."""

    def __init__(self, copies: Copies, address: int) -> None:
        self._copies = copies
        head = copies.words(address, 5)
        self.count = 0
        self.start = self.step = 0
        if len(head) < 5:
            return
        if COMPACT:
            log2_index, kind = head[1] >> 8 & 0xFF, head[1] >> 16 & 0xFF
            self.count, self.start = head[3], address + 32 + (1 << min(log2_index, 40))
            self.step = 16 if kind else 24
        else:
            size = head[1]
            width = 1 if size <= 0xFF else 2 if size <= 0xFFFF else 4
            self.count, self.start, self.step = head[4], address + 40 + width * size, 24
        if self.count > 1 << 40:
            self.count = 0

    @property
    def end(self) -> int:
        """Where its entries end."""
        return self.start + self.count * self.step

    def key_of_slot(self, slot: int) -> int:
        """The address of the key whose value is kept in this place; 0 where there is none."""
        if not self.start <= slot < self.end:
            return 0
        at = (slot - self.start) // self.step
        if slot - self.start - at * self.step != self.step - 8:
            return 0
        return self.key(at)

    def is_key(self, slot: int) -> bool:
        """Whether this place is one that keeps a key, and not its hash."""
        return self.start <= slot < self.end and (slot - self.start) % self.step == self.step - 16

    def key(self, at: int) -> int:
        """The address of this key."""
        if not 0 <= at < self.count:
            return 0
        return self._copies.word(self.start + at * self.step + self.step - 16)


class Shapes:
    """What lies where in this interpreter; made once for each search, which is when it is found out."""

    def __init__(self, copies: Copies) -> None:
        self.copies = copies
        mark = object()
        self._text_state = self._state(id(KNOWN))
        self._cached_keys = 0
        self._check_containers(mark)
        self._check_attributes(mark)
        function = _made()
        generator = function(mark)
        self.function_name = self._field(function, function.__qualname__)
        self.generator_name = self._field(generator, generator.__qualname__)
        code = function.__code__
        self.code_name = self._field(code, getattr(code, "co_qualname", code.co_name))

        self._variables = 0
        """Where a code object has the number of its local variables."""
        if FRAME is not None:
            self._check_frames(function, generator, mark)
        else:
            frame = generator.gi_frame
            end = self.copies.word(id(frame) + VALUE_STACK)
            _expect("frames", self.copies.word(id(frame) + FRAME_CODE) == id(function.__code__))
            _expect("frames", 0 < end - id(frame) < type(frame).__basicsize__ + 8 * MOST_FIELDS)

    def _check_frames(self, function: Any, generator: Any, mark: object) -> None:
        """Where frames are told otherwise, no variable of one is found."""
        assert FRAME is not None
        frame = id(generator) + type(generator).__basicsize__ - FRAME.variables
        names = "=".join("name%d" % number for number in range(VARIABLES))
        code = compile("def known():\n %s=0\n return lambda: name0" % names, "known", "exec").co_consts[0]
        numbers = struct.unpack("<32i", struct.pack("<16Q", *self.copies.words(id(code), 16)))
        _expect("frames", numbers.count(VARIABLES) == 1)
        self._variables = numbers.index(VARIABLES) * 4
        start = id(generator) + type(generator).__basicsize__
        _expect("frames", self.is_local(start, start) and self.copies.word(start) == id(mark))
        _expect("frames", self.copies.word(frame + FRAME.code) == id(function.__code__))
        _expect("frames", self.copies.word(frame + FRAME.globals) == id(function.__globals__))

    def is_local(self, start: int, place: int) -> bool:
        """Whether this place is a variable of the frame whose variables start there."""
        if FRAME is None:
            return False
        code = self.copies.word(start - FRAME.variables + FRAME.code)
        return 0 <= place - start < 8 * self._variable_count(code)

    def code_of_frame(self, globals_at: int, place: int) -> int:
        """The code of the frame that has its globals here, if this place is one of its variables."""
        if FRAME is None:
            return 0
        start = globals_at - FRAME.globals + FRAME.variables
        return self.copies.word(start - FRAME.variables + FRAME.code) if self.is_local(start, place) else 0

    def _variable_count(self, code: int) -> int:
        if self.copies.words(code, 2)[1:] != (id(CodeType),):
            return 0
        return self.copies.word(code + self._variables) & 0xFFFFFFFF

    def _check_containers(self, mark: object) -> None:
        held, sets, table = [mark], {mark}, {KNOWN: mark}
        mixed: dict[object, object] = {mark: KNOWN, KNOWN: mark}
        words = self.copies.words(id(held), 5)
        _expect("lists", self.copies.words(words[3], words[2]) == (id(mark),))
        words = self.copies.words(id(sets), 6)
        _expect("sets", id(mark) in self.copies.words(words[5], 2 * (words[4] + 1)))
        plain, other = (self.table_of(id(each)) for each in (table, mixed))
        _expect("dicts", (plain.count, plain.key(0)) == (1, id(KNOWN)))
        _expect("dicts", self.copies.word(plain.start + plain.step - 8) == id(mark))
        _expect("dicts", (other.count, other.key(0), other.key(1)) == (2, id(mark), id(KNOWN)))
        _expect("strings", self.name_at(id(KNOWN)) == KNOWN)
        _expect("classes", self.copies.word(self.copies.word(id(Known) + TYPE_DICT) + 8) == id(dict))

    def _check_attributes(self, mark: object) -> None:
        one = Known(mark)
        if COMPACT:
            for at, place in enumerate(self.copies.words(id(Known), TYPE_WORDS)):
                if place & 7 == 0 and place > 1 << 16 and Table(self.copies, place).key(0) == id(KNOWN):
                    self._cached_keys = at * 8
        if INLINE:
            values = id(one) + Known.__basicsize__ + 8
        elif VALUES_BEFORE is not None:
            values = self.copies.word(id(one) - VALUES_BEFORE[0]) + VALUES_BEFORE[1]
        else:
            values = self.copies.word(self.copies.word(id(one) + Known.__dictoffset__) + 40)
        _expect("attributes", self.copies.word(values) == id(mark))
        _expect("attributes", not COMPACT or self.attribute(id(Known), 0) == KNOWN)

    def _field(self, thing: Any, value: Any) -> int:
        """Where in an object this one of its fields is."""
        words = self.copies.words(id(thing), MOST_FIELDS)
        _expect("functions", id(value) in words)
        return words.index(id(value)) * 8

    def table_of(self, a_dict: int) -> Table:
        """The table of the dict at this address."""
        return Table(self.copies, self.copies.word(a_dict + 32))

    def attribute(self, kind: int, at: int) -> str:
        """What instances of this type call the attribute that they keep in this place."""
        if not self._cached_keys:
            return ""
        return self.name_at(Table(self.copies, self.copies.word(kind + self._cached_keys)).key(at))

    def _state(self, text: int) -> int:
        """That a string is ASCII and compact, as this interpreter says it, whether it is interned or not."""
        return self.copies.word(text + 32) >> 2 & 0x1F

    def name_at(self, text: int) -> str:
        """The string at this address if it could be a name; else nothing."""
        words = self.copies.words(text, 5)
        if len(words) < 5 or words[1] != id(str) or not 0 < words[2] <= MOST_NAME:
            return ""
        if words[4] >> 2 & 0x1F != self._text_state:
            return ""
        name = self.copies.letters(text + TEXT, words[2])
        return name if name.isprintable() else ""


def _expect(what: str, fits: bool) -> None:
    if not fits:
        raise Refused("%s of this interpreter do not lie in memory as the probe knows them" % what)
