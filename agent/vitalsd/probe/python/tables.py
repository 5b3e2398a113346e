"""
Whose tables places in memory are in: of a list, dict, set, deque or large tuple, or of an instance's attributes.

A table has no head that tells whose it is. So all containers are gone through in copies of memory, at next to no
cost each, and those looked at closely whose table has one of the places within it. By then the table of one that
grows may have moved: so tables that are large are searched at once, as soon as their container is met.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import compress

from .census import COLLECTED, MOST_ITEMS, MOST_REFERENCES, is_immortal
from .chains import Chains, Parent
from .shapes import CHUNK, INLINE, MANAGED, MOST_ATTRIBUTES, VALUES_BEFORE, Copies, Shapes, Table

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    Hit = tuple[int, int]
    """Where a word was found, and what it was."""

MOST_BLOCKS = 20_000
LARGE = 64
"""Items: whatever leaks has more."""
FIELDS = 6
"""Words of a container that tell where its table is."""
NEAREST = 4
PLACES_AT_ONCE = 64
MOST_HOLDERS = 4


def may_be_object(references: int, address: int) -> bool:
    """Whether an object may begin here, by the word that counts who refers to it."""
    return address % 16 == 0 and (0 < references < MOST_REFERENCES or is_immortal(references))


def is_object(chains: Chains, shapes: Shapes, address: int, type_at: int) -> bool:
    """Whether an object of this type lives here: it is referred to, and in the collector's list if in any."""
    kind = chains.kinds.get(type_at)
    words = shapes.copies.words(address - 16, 4)
    if kind is None or len(words) < 4 or words[3] != type_at or not may_be_object(words[2], address):
        return False
    if not kind.flags & COLLECTED or kind.is_type or not words[0]:
        return True  # it is in no list; nor have the interpreter's own types such a head
    # Its neighbours must point back; those of the youngest are ours, and may be gone by now.
    here, word = address - 16, shapes.copies.word
    return word(words[1] & ~7) == here or word(words[0] + 8) & ~7 == here


def fields_of(copies: Copies, base: int, words: tuple[int, ...], at: int) -> tuple[int, ...]:
    """What a container begins with whose type was found in these words; nothing where none begins there."""
    if not at or not may_be_object(words[at - 1], base + 8 * at - 8):
        return ()
    fields = words[at - 1 : at - 1 + FIELDS]
    if len(fields) < FIELDS:
        fields = copies.words(base + 8 * at - 8, FIELDS)
    return fields if len(fields) == FIELDS else ()


class Large:
    """Looks through the tables of large containers for what is searched for."""

    def __init__(self, chains: Chains, shapes: Shapes, level: set[int]) -> None:
        self._chains, self._shapes, self._copies, self._level = chains, shapes, shapes.copies, level
        self._counts: dict[int, int] = {}
        self.kinds = {
            address: kind.container
            for address, kind in chains.kinds.items()
            if kind.container in (list, dict, set, deque)
        }

    def take(self, base: int, words: tuple[int, ...], at: int) -> Iterator[None]:
        """A container of these types was met here."""
        container = self.kinds[words[at]]
        fields = fields_of(self._copies, base, words, at)
        if not fields or not LARGE <= fields[2] < MOST_ITEMS:
            return
        address = base + 8 * at - 8
        if not is_object(self._chains, self._shapes, address, words[at]):
            return
        if container is list:
            yield from self._search(address, words[at], fields[3], fields[3] + 8 * fields[2])
        elif container is set:
            yield from self._search(
                address, words[at], fields[5], fields[5] + 16 * min(fields[4] + 1, MOST_ITEMS), 16
            )
        elif container is deque:
            block = fields[3]
            for _ in range(min(fields[2] // 64 + 2, MOST_BLOCKS)):
                yield from self._search(address, words[at], block + 8, block + 520)
                if block in (0, fields[4]):
                    break
                block = self._copies.word(block + 520)
        else:
            table = self._shapes.table_of(address)
            yield from self._search(address, words[at], table.start, table.end, table.step, table)

    def _search(
        self, address: int, kind_at: int, start: int, end: int, step: int = 8, table: Table | None = None
    ) -> Iterator[None]:
        for base in range(start, end, CHUNK):
            words = self._copies.words(base, min(end - base, CHUNK) // 8)
            for at in compress(range(len(words)), map(self._level.__contains__, words)):
                place, child = base + 8 * at, words[at]
                if step == 16 and table is None and place - start & 8:
                    continue  # the hash of a number is the number, and refers to nothing
                key = table.key_of_slot(place) if table is not None else 0
                if table is not None and not key and not table.is_key(place):
                    continue
                self._counts[-child] = self._counts.get(-child, 0) + 1
                if self._counts[-child] <= MOST_HOLDERS:
                    self._chains.note(child, Parent(address, kind_at, key=key))
            yield


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

    def wanted(self) -> Generator[None, None, set[int]]:
        """The words to look for: thousands, so in steps."""
        wanted = set(self._containers)
        yield
        if VALUES_BEFORE is not None:
            for number, place in enumerate(self._places):
                first = place - VALUES_BEFORE[1]
                wanted.update(range(first, first - 8 * MOST_ATTRIBUTES, -8))
                if number % PLACES_AT_ONCE == PLACES_AT_ONCE - 1:
                    yield
        return wanted

    def take(self, base: int, words: tuple[int, ...], at: int) -> None:
        """One of these words was found here."""
        if words[at] not in self._containers:
            self._in_values(base + 8 * at, words[at])
        else:
            fields = fields_of(self._copies, base, words, at)
            if fields:
                self._in_container(base + 8 * at - 8, words[at], fields)

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
