"""
Who holds on to the objects of a type: chains of referrers, from a few of its instances up to a root.

Like the census it searches copies of memory and touches no object: a reference is a word that equals an address.
What it stands in is an object whose head is shortly before it, or the table of a list, dict, set, deque or tuple,
or of an instance's attributes, which is found by who points at it. So each step up is one search for the addresses
and one for whose tables they were found in, until there is a module's dict, a class, a coroutine or a frame.

Names of attributes and of variables of modules are told, since they stand in the source; keys of other dicts are
values of the service's, and never are. Costs 0.4 s of a processor for each search of 64 MiB, a third of a
millisecond at a time, and is ended after 4 s with what there is by then: of a heap of some 150 MiB a leak that a
module's variable holds is told to its root, of a larger one often no more than its nearest holders. How far it
came is told.
"""

from __future__ import annotations

import sys
from binascii import crc32
from bisect import bisect_right
from itertools import compress
from time import thread_time
from types import ModuleType

from .census import all_types, type_name
from .chains import Chains, Kind, Parent
from .memory import PAGE, Memory, private_ranges
from .protocol import Refused, text_of
from .shapes import (
    CHUNK,
    DICT_BEFORE,
    HAS_INLINE,
    INLINE,
    MANAGED,
    MOST_ATTRIBUTES,
    SMALL,
    TYPE_DICT,
    VALUE_STACK,
    Copies,
    Shapes,
)
from .tables import Large, Tables, is_object, may_be_object

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

    Hit = tuple[int, int]
    """Where a word was found, and what it was."""

AT_ONCE = 16
SAMPLES = 12
DEPTH = 16
MOST_HITS = 64
"""Of each target: most places that have its address are left over from before, where it is in much use."""
MOST_PLACES = 512
"""Of all targets: to look for the owner of one is, before 3.13, to look for 31 words."""
MOST_CPU_SECONDS = 4.0
OWN = __name__.rpartition(".")[0]
SLICE_SECONDS = 0.0003
BACK = SMALL // 2
RUNNING_BYTES = 1024
TAGGED_INTS = sys.version_info >= (3, 12)
_dict_of = vars(ModuleType)["__dict__"].__get__


def name_of(kind_name: str) -> int:
    """The number by which a request names a type."""
    return crc32(kind_name.encode())


def referrers(number: int) -> Generator[None, None, bytes]:
    """Chains of those that hold the type whose name has this number; the text in the end."""
    memory = Memory()
    try:
        search = Search(memory)
        yield from search.know()
        rows = yield from search.run(number)
    finally:
        memory.close()
    return text_of(search.head(), rows)


def few(loose: list[Hit]) -> list[Hit]:
    """As many of these places as are looked for at once, as evenly as can be of each target."""
    if len(loose) <= MOST_PLACES:
        return loose
    turns: dict[int, int] = {}
    ranked: list[tuple[int, Hit]] = []
    for hit in loose:
        turns[-hit[1]] = turn = turns.get(-hit[1], 0) + 1
        ranked.append((turn, hit))
    ranked.sort()
    return [hit for _, hit in ranked[:MOST_PLACES]]


class Pace:
    """Says when somebody else should have a turn."""

    def __init__(self) -> None:
        self._began = self._resumed = thread_time()

    def due(self) -> bool:
        """Whether it is time for it; the next one begins where this is answered with yes."""
        now = thread_time()
        if now - self._resumed < SLICE_SECONDS:
            return False
        self._resumed = now
        return True

    def is_over(self) -> bool:
        """Whether it has taken as much as it may, in all."""
        return thread_time() - self._began > MOST_CPU_SECONDS


class Search:
    """What was found so far."""

    def __init__(self, memory: Memory) -> None:
        if sys.implementation.name != "cpython" or sys.byteorder != "little" or sys.maxsize < 1 << 32:
            raise Refused("objects of this interpreter do not lie in memory as the probe knows them")
        self._memory = memory
        self._copies = Copies(memory)
        self._shapes = Shapes(self._copies)
        self.chains = Chains(self._shapes)
        self._numbers: dict[int, list[int]] = {}
        """What a request calls a type -> the addresses of those that are called so."""
        self._tables: list[tuple[int, int, int]] = []
        """Of modules: start, end and dict."""
        self._asked_again: set[int] = set()
        self._put_off: list[Hit] = []
        """Places whose tables were not looked for."""
        self._seen = self._searched = self._cut = 0
        self._reached = self._heap = 0
        """Bytes that the search which was given up had looked at, and of how many."""
        self._pace = Pace()

    def know(self) -> Iterator[None]:
        """Learn all types and modules."""
        for kind in all_types(AT_ONCE):
            if kind is None:
                yield
            else:
                self.chains.kinds[id(kind)] = Kind(kind)
                self._numbers.setdefault(name_of(type_name(kind)), []).append(id(kind))
        for at, (name, module) in enumerate(list(sys.modules.items())):
            if type(module) is ModuleType and type(name) is str:
                place = id(_dict_of(module))
                self.chains.modules.setdefault(place, name)
                table = self._shapes.table_of(place)
                self._tables.append((table.start, table.end, place))
            del module
            if at % AT_ONCE == 0:
                yield
        self._tables.sort()

    def run(self, number: int) -> Generator[None, None, list[str]]:
        """Take samples of the type and go up from them."""
        wanted = set(self._numbers.get(number, ()))
        if not wanted:
            raise Refused("there is no type of this name any more")
        yield from self._sample(wanted)
        for _ in range(DEPTH):
            level: set[int] = yield from self.chains.next()
            if not level:
                if not self._put_off or self._cut or (yield from self.chains.is_done()):
                    break
                loose, self._put_off = self._put_off, []
                yield from self._find_tables(loose)
                continue
            yield from self._in_modules(level)
            if self._cut or (yield from self.chains.is_done()):
                break
            yield from self._climb(level)
        yield from self.chains.name()
        return (yield from self.chains.rows())

    def _sample(self, wanted: set[int]) -> Iterator[None]:
        """A few instances, each as likely as any other."""
        for base, words, found in self._look(wanted):
            for index in found:
                address = base + 8 * index - 8
                if not index or not may_be_object(words[index - 1], address):
                    continue
                self._seen += 1
                at = self._seen - 1 if self._seen <= SAMPLES else self._seen * 2654435761 % (1 << 32) % self._seen
                if at >= SAMPLES or not is_object(self.chains, self._shapes, address, words[index]):
                    continue
                self.chains.note_sample(address, words[index], at)
                if self._pace.due():
                    yield
            if self._pace.due():
                yield

    def _look(self, wanted: set[int]) -> Iterator[tuple[int, tuple[int, ...], list[int]]]:
        """Where in memory these words stand, a piece at a time: where it begins, its words, and which of them."""
        looked_at = 0
        for start, end in private_ranges():
            for at in range(start, end, 256 * CHUNK):
                until = min(end, at + 256 * CHUNK)
                flags, _ = self._memory.pages(at, (until - at) // PAGE)
                first = flags.find(1)
                if first < 0:
                    yield at, (), []
                while first >= 0:
                    beyond = flags.find(0, first, first + CHUNK // PAGE)
                    beyond = min(len(flags), first + CHUNK // PAGE) if beyond < 0 else beyond
                    base = at + first * PAGE
                    words = self._copies.words(base, (beyond - first) * PAGE // 8)
                    found = list(compress(range(len(words)), map(wanted.__contains__, words)))
                    yield base, words, [index for index in found if not self._copies.is_mine(base + 8 * index)]
                    looked_at += 8 * len(words)
                    if self._pace.is_over():
                        self._cut, self._reached = 1, looked_at
                        self._heap = self._memory.extent_bytes()
                        return
                    first = flags.find(1, beyond)

    def _in_modules(self, level: set[int]) -> Iterator[None]:
        """Look for these where most chains end, which takes no search of all memory."""
        for start, end, _ in self._tables:
            for base in range(start, end, CHUNK):
                words = self._copies.words(base, min(end - base, CHUNK) // 8)
                for index in compress(range(len(words)), map(level.__contains__, words)):
                    self._within(base + 8 * index, words[index])
            if self._pace.due():
                yield

    def _climb(self, level: set[int]) -> Iterator[None]:
        """Find who refers to these."""
        counts: dict[int, int] = {}
        loose: list[Hit] = []
        large = Large(self.chains, self._shapes, level)
        for base, words, found in self._look(level.union(large.kinds)):
            for index in found:
                place, child = base + 8 * index, words[index]
                if child in large.kinds and child not in level:
                    for _ in large.take(base, words, index):
                        if self._pace.due():
                            yield
                    continue
                counts[-child] = counts.get(-child, 0) + 1
                if counts[-child] <= MOST_HITS:
                    if not self._within(place, child):
                        loose.append((place, child))
                    if self._pace.due():
                        yield
            if self._pace.due():
                yield
        self._searched += 1
        # Of those that somebody is known to hold, others are looked for only if he leads nowhere.
        self._put_off += [hit for hit in loose if self.chains.is_held(hit[1])]
        loose = [hit for hit in loose if not self.chains.is_held(hit[1])]
        if loose and not self._cut:
            yield from self._find_tables(loose)

    def _find_tables(self, loose: list[Hit]) -> Iterator[None]:
        """Find whose tables these places are in."""
        tables = Tables(self.chains, self._shapes, few(loose))
        wanted: set[int] = yield from tables.wanted()
        for base, words, found in self._look(wanted):
            for index in found:
                tables.take(base, words, index)
                if self._pace.due():
                    yield
            if self._pace.due():
                yield
        self._searched += 1
        for _ in tables.finish():
            if self._pace.due():
                yield
        for place, child in tables.rest:
            if self._copies.word(place) == child:
                self._in_frame(place, child)
            elif -child not in self._asked_again:
                self._asked_again.add(-child)
                self.chains.ask_again(child)  # its table has grown, and is elsewhere by now
            if self._pace.due():
                yield

    def _within(self, place: int, child: int) -> bool:
        """Whether it is known what this place is part of; then that has been noted."""
        at = bisect_right(self._tables, (place, 1 << 62, 0)) - 1
        if at >= 0 and place < self._tables[at][1]:
            start, _, module = self._tables[at]
            key = self._shapes.table_of(module).key_of_slot(place) if start else 0
            if key:
                self.chains.note(child, Parent(module, id(dict), key=key))
            return True
        if DICT_BEFORE and self._has_dict(place + DICT_BEFORE):
            self.chains.note(
                child, Parent(place + DICT_BEFORE, self._copies.word(place + DICT_BEFORE + 8), "", 0, True)
            )
            return True
        base = max(place // 16 * 16 - BACK, 0)
        words = self._copies.words(base, BACK // 8 + 2)
        if len(words) <= (place - base) // 8:  # memory begins between them
            base = place // PAGE * PAGE
            words = self._copies.words(base, (place - base) // 8 + 1)
        for at in range((place - base) // 16 * 2, -1, -2):
            known = at + 1 < len(words) and words[at + 1] in self.chains.kinds
            if known and is_object(self.chains, self._shapes, base + 8 * at, words[at + 1]):
                return self._in_object(base + 8 * at, words[at + 1], place, child)
        return False

    def _has_dict(self, address: int) -> bool:
        """Whether the object that begins here, if one does, has a dict before it."""
        type_at = self._copies.word(address + 8)
        kind = self.chains.kinds.get(type_at)
        return bool(kind and kind.flags & MANAGED) and is_object(self.chains, self._shapes, address, type_at)

    def _in_object(self, address: int, type_at: int, place: int, child: int) -> bool:
        kind, offset = self.chains.kinds[type_at], place - address
        size = kind.basic
        if kind.item:
            items = self._copies.word(address + 16)
            items >>= 3 if TAGGED_INTS and kind.is_int else 0
            size += kind.item * (items if items < 1 << 32 else 0)
        if kind.named == 2 and self._shapes.is_local(address + kind.basic, place):
            self.chains.note(child, Parent(address, type_at))
            return True
        inline = INLINE and kind.flags & HAS_INLINE and 0 <= offset - kind.basic - 8 < 8 * MOST_ATTRIBUTES
        if offset >= size and not inline:
            return False
        if kind.raw or offset < 16 or address == child:
            return True
        if kind.frame and not kind.named and VALUE_STACK and place >= self._copies.word(address + VALUE_STACK):
            return True  # what it has worked with, which it may be done with
        if kind.container in (set, frozenset) and offset & 8:
            return True  # the hash of a number is the number, and refers to nothing
        name = self._shapes.attribute(type_at, (offset - kind.basic) // 8 - 1) if inline else ""
        own = offset == (TYPE_DICT if kind.is_type else kind.dict_at)
        self.chains.note(child, Parent(address, type_at, name, 0, own))
        return True

    def _in_frame(self, place: int, child: int) -> None:
        """What is in no table may be a local variable of a function that runs."""
        base = place - RUNNING_BYTES
        words = self._copies.words(base, RUNNING_BYTES // 8)
        if len(words) < RUNNING_BYTES // 8:  # memory begins between them
            base = place // PAGE * PAGE
            words = self._copies.words(base, (place - base) // 8)
        for at in range(len(words) - 1, -1, -1):
            if not self.chains.modules.get(words[at], OWN).startswith(OWN):
                code = self._shapes.code_of_frame(base + 8 * at, place)
                if code:
                    self.chains.note_frame(child, code)
                    return

    def head(self) -> dict[str, Any]:
        """About the whole."""
        return {
            "seen": self._seen,
            "samples": len(self.chains.samples),
            "searches": self._searched,
            "cut": self._cut,
            "reached_bytes": self._reached,
            "heap_bytes": self._heap,
        }
