"""
Decodes the few kinds of objects that are read of CPython: names, floats, small ints. Each is checked for its type.

Types are compared by address, so that bytes which are something else by now are told from what was looked for.
A text or a tuple costs two reads of the process's memory; a number is decoded from bytes, without one.
"""

from __future__ import annotations

import struct

import msgspec

from vitalsd.sources.interpreter.layout import OBJECT_TYPE, Layout
from vitalsd.sources.interpreter.memory import Memory, TornError

__all__ = ["NUMBER_BYTES", "Types", "float_in", "names_at", "number_in", "text_at"]

NUMBER_BYTES = 32
"""Enough of a float, and of an int of one digit."""
MOST_LETTERS = 4096
MOST_NAMES = 64
COMPACT_ASCII = 0b11 << 5
"""In the state of a text, after `interned` and `kind`."""
FLOAT = struct.Struct("<qQd")
OLD_INT = struct.Struct("<qQqI")
INT = struct.Struct("<qQQI")
ZERO_SIGN = 1
HEAD = struct.Struct("<qQq")


class Types(msgspec.Struct, frozen=True):
    """Where the types are."""

    code: int
    text: int
    tuple: int
    float: int
    int: int


def text_at(memory: Memory, layout: Layout, types: Types, address: int) -> str:
    """A text in ASCII, as names of functions and the paths of most files are; TornError if it is none."""
    head = memory.read(address, layout.text_letters)
    length, state = struct.unpack_from("<q", head, layout.text_length)[0], head[layout.text_state]
    if struct.unpack_from("<Q", head, OBJECT_TYPE)[0] != types.text or not 0 < length <= MOST_LETTERS:
        raise TornError
    if state & COMPACT_ASCII != COMPACT_ASCII:
        raise TornError
    return memory.read(address + layout.text_letters, length).decode("ascii", "replace")


def names_at(memory: Memory, layout: Layout, types: Types, address: int) -> list[str]:
    """A tuple of such texts."""
    _, kind, size = HEAD.unpack(memory.read(address, HEAD.size))
    if kind != types.tuple or not 0 < size <= MOST_NAMES:
        raise TornError
    items = struct.unpack(f"<{size}Q", memory.read(address + layout.tuple_items, 8 * size))
    return [text_at(memory, layout, types, item) for item in items]


def float_in(found: bytes, types: Types) -> float | None:
    """The value of a float."""
    _, kind, value = FLOAT.unpack_from(found)
    return value if kind == types.float else None


def number_in(found: bytes, layout: Layout, types: Types) -> int | None:
    """The value of an int of one digit, which is below 2**30 and not negative."""
    if layout.tagged_size:
        _, kind, tag, digit = INT.unpack_from(found)
        size, zero = tag >> 3, tag & 3 == ZERO_SIGN
        negative = tag & 2
    else:
        _, kind, size, digit = OLD_INT.unpack_from(found)
        zero, negative = size == 0, size < 0
    if kind != types.int or negative or size > 1:
        return None
    return 0 if zero else int(digit)
