"""
Whose tables places in memory are in: of a list, dict, set, deque or large tuple, or of an instance's attributes.

A table has no head that tells whose it is. So all containers are gone through in copies of memory, at next to no
cost each, and those looked at closely whose table has one of the places within it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

from .census import COLLECTED, MOST_ITEMS, MOST_REFERENCES, is_immortal
from .chains import Chains, Parent
from .shapes import INLINE, MANAGED, MOST_ATTRIBUTES, VALUES_BEFORE, Shapes

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Iterator

    Hit = tuple[int, int]
    """Where a word was found, and what it was."""

MOST_BLOCKS = 20_000
FIELDS = 6
"""Words of a container that tell where its table is."""
NEAREST = 4


def may_be_object(references: int, address: int) -> bool:
    """Whether an object may begin here, by the word that counts who refers to it."""
    return address % 16 == 0 and (0 < references < MOST_REFERENCES or is_immortal(references))


def is_object(chains: Chains, shapes: Shapes, address: int, type_at: int) -> bool:
    """Whether an object of this type lives here: it is referred to, and in the collector's list if in any."""
    kind = chains.kinds.get(type_at)
    words = shapes.copies.words(address - 16, 4)
    if kind is None or len(words) < 4 or words[3] != type_at or not may_be_object(words[2], address):
        return False
    collected = kind.flags & COLLECTED and not kind.is_type  # the interpreter's own types have no such head
    return not collected or not words[0] or shapes.copies.word(words[0] + 8) & ~7 == address - 16


class Tables:
    """One search for the owners of these places."""

    def __init__(self, chains: Chains, shapes: Shapes, loose: list[Hit]) -> None:
        self._chains, self._shapes, self._copies = chains, shapes, shapes.copies
        self._loose = sorted(loose)
        self._places = [place for place, _ in self._loose]
        self._containers = {address for address, kind in chains.kinds.items() if kind.container is not None}
        self._nearest: list[dict[int, tuple[int, bool]]] = [{} for _ in self._places]
        """Before each place: where the nearest tables of dicts begin, whose, and whether they have only values."""
        self._deques: list[tuple[int, int]] = []
        self._found: set[int] = set()

    def wanted(self) -> set[int]:
        """The words to look for."""
        wanted = set(self._containers)
        if VALUES_BEFORE is not None:
            add = VALUES_BEFORE[1]
            wanted.update(place - 8 * at - add for place in self._places for at in range(MOST_ATTRIBUTES))
        return wanted

    def take(self, base: int, words: tuple[int, ...], at: int) -> None:
        """One of these words was found here."""
        if words[at] not in self._containers:
            self._in_values(base + 8 * at, words[at])
        elif at and may_be_object(words[at - 1], base + 8 * at - 8):
            address = base + 8 * at - 8
            fields = words[at - 1 : at - 1 + FIELDS]
            if len(fields) < FIELDS:
                fields = self._copies.words(address, FIELDS)
            if len(fields) == FIELDS:
                self._in_container(address, words[at], fields)

    def finish(self) -> Iterator[None]:
        """Work out what needed all of them to be seen, and leave the rest to whoever asks for `rest`."""
        known: dict[int, tuple[int, bool]] = {}
        for at, hit in enumerate(self._loose):
            known.update(self._nearest[at])
            starts = sorted(known, reverse=True)[:NEAREST]
            known = {start: known[start] for start in starts}
            if hit[0] not in self._found:
                any(self._in_dict(start, *known[start], hit) for start in starts)
            yield
        yield from self._in_deques()

    @property
    def rest(self) -> list[Hit]:
        """Those that are in no table."""
        return [hit for hit in self._loose if hit[0] not in self._found]

    def _in_values(self, place: int, word: int) -> None:
        assert VALUES_BEFORE is not None
        instance, start = place + VALUES_BEFORE[0], word + VALUES_BEFORE[1]
        kind_at = self._copies.word(instance + 8)
        kind = self._chains.kinds.get(kind_at)
        if (
            kind is None
            or not kind.flags & MANAGED
            or not is_object(self._chains, self._shapes, instance, kind_at)
        ):
            return
        for at in self._between(start, start + 8 * MOST_ATTRIBUTES):
            name = self._shapes.attribute(kind_at, (self._places[at] - start) // 8)
            if name:
                self._note(self._loose[at], Parent(instance, kind_at, name))

    def _between(self, start: int, end: int) -> range:
        return range(bisect_left(self._places, start), bisect_left(self._places, end))

    def _in_container(self, address: int, kind_at: int, words: tuple[int, ...]) -> None:
        container = self._chains.kinds[kind_at].container
        if container is dict:
            values = words[5] + (8 if INLINE else 0) if words[5] else 0
            for start, only_values in ((words[4], False), (values, True)):
                at = bisect_left(self._places, start) if start else len(self._places)
                if at < len(self._places):
                    nearest = self._nearest[at]
                    nearest[start] = address, only_values  # instances of one class share a table without values
                    if len(nearest) > NEAREST:
                        del nearest[min(nearest)]
            return
        if container is deque:
            self._deques.append((address, kind_at))
            return
        if container is tuple:
            start, size, fits = address + 24, 8 * words[2], words[2] < MOST_ITEMS
        elif container is list:
            start, size, fits = words[3], 8 * words[2], words[2] <= words[4] < MOST_ITEMS
        else:
            start, size, fits = words[5], 16 * (words[4] + 1), words[3] <= words[2] <= words[4] < MOST_ITEMS
        between = self._between(start, start + size) if fits else ()
        if not between or not is_object(self._chains, self._shapes, address, kind_at):
            return
        hashes = container is set or container is frozenset
        for at in between:
            if hashes and self._places[at] - start & 8:
                self._found.add(self._places[at])  # the hash of a number is the number, and refers to nothing
            else:
                self._note(self._loose[at], Parent(address, kind_at))

    def _in_dict(self, start: int, address: int, only_values: bool, hit: Hit) -> bool:
        """Whether the place is in a table of this dict."""
        kind_at = self._copies.word(address + 8)
        if not is_object(self._chains, self._shapes, address, kind_at):
            return False
        table = self._shapes.table_of(address)
        if only_values:
            at = (hit[0] - start) // 8
            key = table.key(at) if at < min(table.count, MOST_ATTRIBUTES) else 0
        else:
            key = table.key_of_slot(hit[0])
            if table.start <= hit[0] < table.end:
                self._found.add(hit[0])
        if key or (not only_values and table.is_key(hit[0])):
            self._note(hit, Parent(address, kind_at, key=key))
        return hit[0] in self._found

    def _in_deques(self) -> Iterator[None]:
        blocks = 0
        for address, kind_at in self._deques:
            block, last = (*self._copies.words(address + 24, 2), 0, 0)[:2]
            while block and blocks < MOST_BLOCKS:
                blocks += 1
                for at in self._between(block + 8, block + 520):
                    self._note(self._loose[at], Parent(address, kind_at))
                yield
                if block == last:
                    break
                block = self._copies.word(block + 520)

    def _note(self, hit: Hit, parent: Parent) -> None:
        """Remember whose table it is in, unless it was what somebody had left there before."""
        place, child = hit
        if self._copies.word(place) == child:
            self._found.add(place)
            self._chains.note(child, parent)
