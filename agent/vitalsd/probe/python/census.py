"""
Counts the live objects of this process by type, without touching one of them.

An object is two words side by side wherever an allocator has put it: how often it is referred to, and the address
of its type. So copies of the memory are searched for the addresses of types. What has been freed is told by its
count, which is zero or has been written over; what is left of one behind the end of a short text is passed over.
Untracked objects such as strings are seen like any other.

Walking the collector's own lists, as `gc.get_objects` does, was decided against: it holds the interpreter until
it is through, a quarter of a second for five million objects, needs 8 bytes for each, writes to every one of them,
which unshares forked workers' memory, and whatever dies meanwhile is finalized in the wrong thread.

Costs 25 us for a page of 4 KiB, so that 64 MiB are 0.4 s of a processor; of a larger heap one in 2, 4, 8, ...
parts of 16 KiB is looked at. The interpreter is held for 0.1 ms at a time, and memory for 1 MiB is needed,
whatever the size of the heap. Only CPython with the global lock is known.
"""

from __future__ import annotations

import struct
import sys
from itertools import compress

from .memory import PAGE, Memory, private_ranges
from .protocol import BETWEEN_NAMES, MOST_STRIDE, Refused, plain, text_of

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

PART = 4 * PAGE
TYPES_AT = tuple(range(1, PART // 8, 2))
PARTS_AT_ONCE = 4
MOST_PAGES_AT_ONCE = 16384
LEAST_BUDGET, MOST_BUDGET = 1 << 20, 1 << 28
TYPES_AT_ONCE = 200
MOST_ROWS = 2000
MOST_BY_BYTES = 500
MOST_METACLASSES = 100
"""Types of classes: what is of them was loaded with the code, and is nobody's data."""
MOST_REFERENCES = 1 << 22
"""Below what could be an address."""
NEVER_DIE = sys.version_info >= (3, 12)
IMMORTAL = 0xC0000000
"""Objects that never die have at least this in the lower half of their count; flags above it since 3.14."""
MOST_ITEMS = 1 << 32
TEXT_AT = {id(str): sys.getsizeof("") - 1, id(bytes): sys.getsizeof(b"") - 1}
"""Address of a type -> where in an object of it the text begins, at the earliest."""
SHORT_TEXT = 512
"""Longer text is not skipped: its length may be none."""
COMPACT = 1 << 5
"""Of a string's state: its text is in it. Since 3.12 there is no other."""
OLD_STRINGS = sys.version_info < (3, 12)
COLLECTED, ITS_OWN_DICT = 1 << 14, (1 << 4) | (1 << 3)
"""Flags of a type: there is a header of the collector's before each object; since 3.11, two words before that."""
HEADER = 16

_module = type.__dict__["__module__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_item_size = type.__dict__["__itemsize__"].__get__
_basic_size = type.__dict__["__basicsize__"].__get__
_flags = type.__dict__["__flags__"].__get__
"""As the interpreter has it: asked by its name, a metaclass of the service's might answer."""


def census(stride: int, budget: int) -> Generator[None, None, bytes]:
    """Count in steps, at least at this stride and no more than `budget` bytes of memory; the text in the end."""
    count = Count()
    memory = Memory()
    try:
        count.check(memory)
        budget = min(max(budget, LEAST_BUDGET), MOST_BUDGET)
        stride = wide_enough(stride, memory.extent_bytes() / budget)
        for kind in all_types():
            if kind is not None:
                count.know(kind)
            else:
                yield
        for start, end in private_ranges():
            yield from count.look(memory, start, end, stride)
    finally:
        memory.close()
    rows: list[tuple[int, int, str]] = []
    metaclasses: list[str] = []
    for kind in all_types():
        if kind is None:
            yield
        elif count.objects.get(id(kind)):
            rows.append(count.row(kind))
            if issubclass(kind, type):
                metaclasses.append(type_name(kind))
    yield
    told = _most(rows)
    lines = []
    for row in told:
        lines.append("%d\t%d\t%s" % row)
        if len(lines) % TYPES_AT_ONCE == 0:
            yield
    head = {
        "stride": stride,
        "looked_at_bytes": count.looked_at * PAGE,
        "present_bytes": count.present * PAGE,
        "swapped_bytes": count.swapped * PAGE,
        "untold": sum(count.objects.values()) - sum(row[0] for row in told),
        "metaclasses": BETWEEN_NAMES.join(metaclasses[:MOST_METACLASSES]),
    }
    return text_of(head, lines)


def wide_enough(stride: int, times: float) -> int:
    """The least power of two that is not below `stride`, and that so many times the budget need."""
    wide = 1
    while wide < MOST_STRIDE and (wide < stride or wide < times):
        wide *= 2
    return wide


def all_types(at_once: int = TYPES_AT_ONCE) -> Iterator[type | None]:
    """Every type there is, and None whenever somebody else should have a turn."""
    seen: set[int] = set()
    pending: list[Any] = [object]
    while pending:
        kind = pending.pop()
        if id(kind) in seen:
            continue
        seen.add(id(kind))
        yield kind
        pending.extend(type.__subclasses__(kind))
        if len(seen) % at_once == 0:
            del kind
            yield None


class Count:
    """What was seen so far."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        """Address of a type -> bytes of each item of an object of it."""
        self.objects: dict[int, int] = {}
        self.items_bytes: dict[int, int] = {}
        self.looked_at = self.present = self.swapped = 0
        """Pages."""
        self._work = 0

    def check(self, memory: Memory) -> None:
        """Whether objects lie in memory as they are known here."""
        known = sys.implementation.name == "cpython" and sys.byteorder == "little" and sys.maxsize > 1 << 32
        words = memory.read(id(self), 16) if known else b""
        if len(words) < 16 or struct.unpack("<QQ", words)[1] != id(type(self)):
            raise Refused("objects of this interpreter do not lie in memory as the probe knows them")

    def know(self, kind: type) -> None:
        """Count objects of this type from now on."""
        self.sizes[id(kind)] = _item_bytes(kind)
        self.objects[id(kind)] = self.items_bytes[id(kind)] = 0

    def look(self, memory: Memory, start: int, end: int, stride: int) -> Iterator[None]:
        """Count in one range of addresses, some parts at a time; where nothing is present, in larger steps."""
        step = step_at_least = PARTS_AT_ONCE * stride * PART
        while start < end:
            until = min(end, (start // step_at_least) * step_at_least + step)
            before = self.looked_at
            flags, swapped = memory.pages(start, (until - start) // PAGE)
            self.swapped += swapped
            present = sum(flags)
            self.present += present
            step = step_at_least if present else min(step * 2, max(step_at_least, MOST_PAGES_AT_ONCE * PAGE))
            if present:
                for part in chosen_parts(start, until, stride):
                    self._look_at(memory, start, max(start, part), min(until, part + PART), flags)
            start = until
            self._work += 1 + self.looked_at - before
            if self._work >= PARTS_AT_ONCE * PART // PAGE:
                self._work = 0
                yield

    def _look_at(self, memory: Memory, base: int, start: int, end: int, flags: bytes) -> None:
        first, last = (start - base) // PAGE, (end - base) // PAGE
        while True:
            first = flags.find(1, first, last)
            if first < 0:
                return
            beyond = flags.find(0, first, last)
            beyond = last if beyond < 0 else beyond
            self.looked_at += beyond - first
            self.count(memory.read(base + first * PAGE, (beyond - first) * PAGE))
            first = beyond

    def count(self, data: bytes) -> None:
        """Count the objects that begin in this piece of memory."""
        words = struct.unpack("<%dQ" % (len(data) // 16 * 2), data[: len(data) // 16 * 16])
        sizes, objects, beyond = self.sizes, self.objects, 0
        for at in compress(TYPES_AT, map(sizes.__contains__, words[1::2])):
            references = words[at - 1]
            if at < beyond or not (0 < references < MOST_REFERENCES or is_immortal(references)):
                continue
            kind = words[at]
            objects[kind] += 1
            size = sizes[kind]
            if size:
                beyond = at + 3  # a tuple's number of items, and the first of them, may look like an object too
                items = words[at + 1] if at + 1 < len(words) else MOST_ITEMS
                if items < MOST_ITEMS:
                    self.items_bytes[kind] += size * items
                if items < SHORT_TEXT and kind in TEXT_AT and has_its_text(words, at):
                    # So may the end of a text, and the type that is left of who was there before.
                    beyond = at + 1 + (TEXT_AT[kind] + items) // 8

    def row(self, kind: type) -> tuple[int, int, str]:
        """Objects, bytes and the name of one type."""
        objects = self.objects[id(kind)]
        flags = _flags(kind)
        size = _basic_size(kind) + (HEADER if flags & COLLECTED else 0)
        if sys.version_info >= (3, 11) and flags & ITS_OWN_DICT:
            size += HEADER
        return objects, objects * size + self.items_bytes[id(kind)], type_name(kind)


def has_its_text(words: tuple[int, ...], at: int) -> bool:
    """Whether a text lies in the object whose type is there."""
    if not OLD_STRINGS or words[at] != id(str):
        return True
    return at + 3 < len(words) and bool(words[at + 3] & COMPACT)


def is_immortal(count: int) -> bool:
    """Whether this count is one of an object that never dies."""
    return NEVER_DIE and count & 0xFFFFFFFF >= IMMORTAL and not count >> 32 & 0xFFFF


def chosen_parts(start: int, end: int, stride: int) -> Iterator[int]:
    """Addresses of the parts to be looked at: of each `stride` parts one, always the same."""
    for block in range(start // (PART * stride), (end - 1) // (PART * stride) + 1):
        part = (block * stride + (block * 2654435761 >> 16) % stride) * PART
        if start - PART < part < end:
            yield part


def _item_bytes(kind: type) -> int:
    if issubclass(kind, int):
        return 0  # how many digits it has is written otherwise since 3.12
    if issubclass(kind, str):
        return 1  # at least
    return int(_item_size(kind))


def type_name(kind: type) -> str:
    """Module and name, as the class was written."""
    module, name = _module(kind), _qualname(kind)
    if type(module) is not str or module == "builtins":
        return plain(name)
    return plain("%s.%s" % (module, name))


def _most(rows: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Those with the most objects, and of the others those with the most bytes."""
    rows.sort(reverse=True)
    many, others = rows[: MOST_ROWS - MOST_BY_BYTES], rows[MOST_ROWS - MOST_BY_BYTES :]
    others.sort(key=lambda row: row[1], reverse=True)
    return many + others[:MOST_BY_BYTES]
