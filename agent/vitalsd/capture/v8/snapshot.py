"""
A heap snapshot of V8's, read from its beginning to its end once, by pieces: it may have a gigabyte. Pure.

It is JSON, of a fixed order: what the numbers mean, the nodes, the edges, and in the end all strings. Nodes name
their strings by number; so what is counted is counted by number, and a census costs memory by the number of
different constructors and functions alone.

Redacted, a snapshot keeps its numbers and the names of constructors, functions, variables and V8's own; any other
string is told by its length, names of properties too, since a service keeps its users' words as keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, BinaryIO, Final

import msgspec

__all__ = ["SnapshotError", "SnapshotReader", "TypeCount"]

BLOCK_BYTES = 128 << 10
MOST_HEAD_BYTES = 1 << 20
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
NAMED = frozenset({"object", "native", "closure", "wasm object"})
"""Types whose nodes are told apart by name; any other is one kind for all."""
CONTENT = frozenset({"string", "concatenated string", "sliced string", "regexp", "symbol", "bigint"})
"""Types whose names are what is in them."""
CODE_EDGES = frozenset({"context", "internal", "shortcut", "weak"})
"""Types of edges whose names are those of variables, or of V8's own."""
SHIFT: Final = 40
MOST_STRINGS = 1 << 26
MOST_NUMBER = 1 << 53
Words = Annotated[list[str], msgspec.Meta(min_length=2)]


class SnapshotError(Exception):
    """It is none, or not whole."""


class TypeCount(msgspec.Struct, frozen=True):
    """The nodes of one constructor, or of one type of V8's own."""

    type: str
    count: int
    bytes: int


class SnapshotReader:
    """One reading of a snapshot; `write` gets it redacted where it is given."""

    def __init__(self, file: BinaryIO, write: Callable[[bytes], object] | None = None) -> None:
        self._file = file
        self._write = write
        self._buffer = b""
        self._counts: dict[int, list[int]] = {}
        """Type and name in one number -> how many, and bytes."""
        self._kept = bytearray()
        """By number of a string, whether it stays."""
        self.nodes = 0
        self.bytes = 0
        self.redacted = 0

    def read(self) -> list[TypeCount]:
        """All types, those with the most bytes first. Raises SnapshotError."""
        head = self._up_to(b'"nodes":[')
        try:
            meta = msgspec.json.decode(head.rpartition(b'"nodes":[')[0].rstrip(b", \n") + b"}")["snapshot"]["meta"]
            told = meta["node_fields"], meta["node_types"][0], meta["edge_fields"], meta["edge_types"][0]
            fields, types, edge_fields, edge_types = (msgspec.convert(each, Words) for each in told)
            places = [fields.index(name) for name in ("type", "name", "self_size")]
        except (msgspec.MsgspecError, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
            raise SnapshotError(f"it does not begin as a heap snapshot does: {error}") from None
        self._put(head)
        for values in self._numbers(len(fields)):
            self._count(values, len(fields), places, types)
        self._put(self._up_to(b'"edges":['))
        if self._write is not None:
            names = {number for number, name in enumerate(edge_types) if name in CODE_EDGES}
            for values in self._numbers(len(edge_fields)):
                self._keep_edges(values, len(edge_fields), names)
        for piece in self._pieces_up_to(b'"strings":['):
            self._put(piece)
        return self._named(types)

    def _put(self, piece: bytes) -> None:
        if self._write is not None:
            self._write(piece)

    def _more(self, least: int = BLOCK_BYTES) -> None:
        piece = self._file.read(least)
        if not piece:
            raise SnapshotError("it ends before its end")
        self._buffer += piece

    def _up_to(self, mark: bytes) -> bytes:
        """Something short, with the mark that ends it."""
        while (at := self._buffer.find(mark)) < 0:
            if len(self._buffer) > MOST_HEAD_BYTES:
                raise SnapshotError(f"it has no {mark.decode()} where it should")
            self._more()
        at += len(mark)
        piece, self._buffer = self._buffer[:at], self._buffer[at:]
        return piece

    def _pieces_up_to(self, mark: bytes) -> Iterator[bytes]:
        """Something long, with the mark that ends it."""
        while (at := self._buffer.find(mark)) < 0:
            keep = len(mark)
            piece, self._buffer = self._buffer[:-keep], self._buffer[-keep:]
            yield piece
            self._more()
        at += len(mark)
        piece, self._buffer = self._buffer[:at], self._buffer[at:]
        yield piece

    def _numbers(self, fields: int) -> Iterator[list[int]]:
        """The numbers of an array, in whole records; what ends it stays."""
        left: list[int] = []
        while True:
            end = self._buffer.find(b"]")
            cut = end if end >= 0 else self._buffer.rfind(b",") + 1
            text, self._buffer = self._buffer[:cut], self._buffer[cut:]
            self._put(text)
            try:
                values = left + [int(each) for each in text.split(b",") if each.strip()]
            except ValueError:
                raise SnapshotError("there is something else among its numbers") from None
            if values and not (min(values) >= 0 and max(values) < MOST_NUMBER):
                raise SnapshotError("there is a number among its numbers that V8 does not write")
            whole = len(values) - len(values) % fields
            left = values[whole:]
            yield values[:whole]
            if end >= 0:
                return
            self._more()

    def _count(self, values: list[int], fields: int, places: list[int], types: list[str]) -> None:
        counts, apart = self._counts, {number for number, name in enumerate(types) if name in NAMED}
        kept = {number for number, name in enumerate(types) if name not in CONTENT}
        kinds, names, sizes = (values[place::fields] for place in places)
        if max(kinds, default=0) >= len(types) or max(names, default=0) >= MOST_STRINGS:
            raise SnapshotError("it has a node of a type, or with a name, that it does not tell")
        for kind, name, size in zip(kinds, names, sizes, strict=True):
            key = kind << SHIFT | name if kind in apart else kind << SHIFT | ((1 << SHIFT) - 1)
            row = counts.get(key)
            if row is None:
                counts[key] = [1, size]
            else:
                row[0] += 1
                row[1] += size
        self.nodes += len(kinds)
        self.bytes += sum(sizes)
        if self.bytes >= MOST_NUMBER:
            raise SnapshotError("its nodes have more bytes than any memory")
        if self._write is not None:
            self._keep({name for kind, name in zip(kinds, names, strict=True) if kind in kept})

    def _keep_edges(self, values: list[int], fields: int, types: set[int]) -> None:
        self._keep(
            {name for kind, name in zip(values[0::fields], values[1::fields], strict=True) if kind in types}
        )

    def _keep(self, names: set[int]) -> None:
        most = max(names, default=-1)
        if most >= MOST_STRINGS:
            raise SnapshotError("it has an edge with a name that it does not tell")
        if most >= len(self._kept):
            self._kept.extend(bytes(most + 1 - len(self._kept)))
        for name in names:
            self._kept[name] = 1

    def _named(self, types: list[str]) -> list[TypeCount]:
        wanted = {key & ((1 << SHIFT) - 1) for key in self._counts}
        found: dict[int, str] = {}
        for number, text in enumerate(self._strings()):
            if number in wanted:
                found[number] = text.decode("utf-8", "replace")
            if self._write is not None:
                keep = number < len(self._kept) and self._kept[number]
                self.redacted += not keep
                comma = b"" if number == 0 else b",\n"
                self._write(comma + (text if keep else b'"[%d letters]"' % max(0, len(text) - 2)))
        if self._write is not None:
            self._write(b"]}")
        together: dict[str, list[int]] = {}
        for key, (count, size) in self._counts.items():
            kind, name = types[key >> SHIFT], found.get(key & ((1 << SHIFT) - 1))
            row = together.setdefault(_title(kind, name), [0, 0])
            row[0] += count
            row[1] += size
        rows = [TypeCount(name, count, size) for name, (count, size) in together.items()]
        return sorted(rows, key=lambda row: (-row.bytes, row.type))

    def _strings(self) -> Iterator[bytes]:
        """Each as it is written, with its quotes."""
        least = BLOCK_BYTES
        while True:
            at = 0
            for found in STRING.finditer(self._buffer):
                if self._buffer[at : found.start()].strip(b", \n"):
                    break
                yield found[0]
                at = found.end()
            self._buffer = self._buffer[at:]
            if self._buffer.lstrip(b", \n")[:1] == b"]":
                return
            # One that is longer than all that was read is not looked through again and again.
            least = BLOCK_BYTES if at else least * 2
            self._more(least)


def _title(kind: str, name: str | None) -> str:
    """A constructor's name; `handler()` is a function's; `(string)` is what V8 has for all of a type."""
    if name is None:
        return f"({kind})"
    try:
        plain = msgspec.json.decode(name, type=str)
    except msgspec.DecodeError:
        plain = name.strip('"')
    plain = " ".join(plain.split())[:200]
    if kind == "closure":
        return f"{plain}()" if plain else "(closure)"
    return plain or f"({kind})"
