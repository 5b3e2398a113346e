"""
Chains of referrers, from samples of a type up to roots: what was found, the ways through it, how they are told.

Who has found an object's parent notes it here. No memory is read but for names, once it is known that the dict in
which they stand has names for keys: a module's, a class's or an instance's.
"""

from __future__ import annotations

from collections import deque
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, FunctionType, GeneratorType
from weakref import ReferenceType

from .census import all_types, type_name
from .protocol import plain
from .shapes import FRAME_CODE, TEXT, Shapes

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    Way = list[tuple[int, "Parent"]]
    """From the root down: an object, and what holds it."""
    Steps = tuple[str, ...]

AT_ONCE = 50
MOST_OF_A_SAMPLE = 4
MOST_MET = 1000
MOST_ROWS = 20
NO_PARENTS = (str, bytes, bytearray, int, float, complex, ReferenceType, CodeType)
"""What looks like a reference in one of these is none, or keeps nothing alive, as the caches of code do not."""
CONTAINERS = (list, dict, set, frozenset, tuple, deque)

_basic_size = type.__dict__["__basicsize__"].__get__
_item_size = type.__dict__["__itemsize__"].__get__
_flags = type.__dict__["__flags__"].__get__
_dict_offset = type.__dict__["__dictoffset__"].__get__


class Kind:
    """What has to be known of a type to tell what lies in an object of it."""

    __slots__ = ("basic", "container", "dict_at", "flags", "frame", "is_int", "is_type", "item", "named", "raw")

    def __init__(self, kind: type) -> None:
        text = issubclass(kind, str)  # of which most have no more than their head and letters
        self.basic, self.item = TEXT if text else int(_basic_size(kind)), int(_item_size(kind))
        self.flags, self.dict_at = int(_flags(kind)), int(_dict_offset(kind))
        self.is_type, self.is_int = issubclass(kind, type), issubclass(kind, int)
        self.raw = issubclass(kind, NO_PARENTS)
        self.frame = kind in (CoroutineType, GeneratorType, AsyncGeneratorType, FrameType)
        self.named = 1 if kind is FunctionType else 2 if self.frame and kind is not FrameType else 0
        self.container = next((each for each in CONTAINERS if issubclass(kind, each)), None)


class Parent:
    """What refers to something, and how."""

    __slots__ = ("key", "kind", "name", "node", "own")

    def __init__(self, address: int, kind: int, name: str = "", key: int = 0, own: bool = False) -> None:
        self.node, self.kind = -address, kind
        self.name = name
        """Of the attribute."""
        self.key = key
        """Address of the key, in a dict."""
        self.own = own
        """It is the parent's own dict: its keys are names."""


class Chains:
    """What is known of who holds whom."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self.kinds: dict[int, Kind] = {}
        """By address; no type is kept alive."""
        self.modules: dict[int, str] = {}
        """Address of a module's dict -> its name."""
        self.samples: list[int] = []
        # Objects are told apart by their address's negative: a dict keeps the hash of a number, which is the
        # number, and a search would find the address there.
        self._types: dict[int, int] = {}
        """Of an object the address of its type."""
        self._asked: set[int] = set()
        self._parents: dict[int, list[Parent]] = {}
        self._roots: set[int] = set()
        """Where a chain ends."""
        self._labels: dict[int, str] = {}
        """What functions, coroutines and classes are called."""
        self._dicts: dict[int, list[Parent]] = {}
        """By dict, as whose parts others were found."""
        self._names: dict[int, str] = {}
        """Of types."""

    def note(self, address: int, parent: Parent) -> None:
        """Remember who holds what is at this address, and whether that is a root."""
        parents = self._parents.setdefault(-address, [])
        if any(each.node == parent.node and each.name == parent.name for each in parents):
            return
        parents.append(parent)
        self._types.setdefault(parent.node, parent.kind)
        kind = self.kinds.get(parent.kind)
        if -parent.node in self.modules:
            parent.name = self._shapes.name_at(parent.key) or "..."
            self._roots.add(parent.node)
        elif kind is not None and (kind.is_type or kind.frame):
            self._roots.add(parent.node)
        if kind is not None and (kind.named or kind.frame) and parent.node not in self._labels:
            self._labels[parent.node] = self._label(-parent.node, kind)
        if parent.own:  # of the dict's keys we know now that they are names
            for each in self._dicts.get(-address, ()):
                each.name = each.name or self._shapes.name_at(each.key)
        if parent.key:
            self._dicts.setdefault(parent.node, []).append(parent)

    def _label(self, address: int, kind: Kind) -> str:
        """What a function, a coroutine or a frame is called."""
        word, name = self._shapes.copies.word, self._shapes.name_at
        if kind.named:
            return name(
                word(address + (self._shapes.function_name if kind.named == 1 else self._shapes.generator_name))
            )
        return name(word(word(address + FRAME_CODE) + self._shapes.code_name)) if FRAME_CODE else ""

    def note_sample(self, address: int, kind: int, place: int) -> None:
        """Take this object for a sample in this place."""
        self.samples[place:] = [-address, *self.samples[place + 1 :]]
        self._types[-address] = kind

    def note_frame(self, child: int, code: int) -> None:
        """Remember that it is a variable of a function that runs this code, which is a root."""
        self._labels[-code] = self._shapes.name_at(self._shapes.copies.word(code + self._shapes.code_name))
        self._roots.add(-code)
        self.note(child, Parent(code, id(CodeType)))

    def next(self) -> Generator[None, None, set[int]]:
        """Who is to be asked next: the nearest above each sample that has no root yet."""
        level: set[int] = set()
        for sample in self.samples:
            _, rooted, unknown = self._path(sample)
            if not rooted:
                level.update(unknown[:MOST_OF_A_SAMPLE])
            yield
        self._asked |= level
        return {-node for node in level}

    def is_held(self, address: int) -> bool:
        """Whether anybody is known to hold it."""
        return -address in self._parents

    def is_done(self) -> Generator[None, None, bool]:
        """Whether there is a chain from a root to each sample; each is a walk through all that is known."""
        for sample in self.samples:
            if not self._path(sample)[1]:
                return False
            yield
        return True

    def ask_again(self, address: int) -> None:
        """Who holds this was not found out."""
        self._asked.discard(-address)

    def _path(self, sample: int) -> tuple[Way, bool, list[int]]:
        """The shortest way from a root to a sample, else what there is of one, and who is yet to be asked."""
        came: dict[int, tuple[int, Parent]] = {}
        pending = deque([sample])
        unknown: list[int] = []
        last = sample
        while pending and len(came) < MOST_MET:
            child = last = pending.popleft()
            if child in self._roots:
                return _way(sample, child, came), True, unknown
            if child not in self._asked:
                unknown.append(child)
            for parent in self._parents.get(child, ()):
                if parent.node not in came and parent.node != sample:
                    came[parent.node] = child, parent
                    pending.append(parent.node)
        return _way(sample, last, came), False, unknown

    def name(self) -> Iterator[None]:
        """What the types are called."""
        wanted = set(self._types.values())
        for kind in all_types(AT_ONCE):
            if kind is None:
                yield
            elif id(kind) in wanted:
                self._names[id(kind)] = type_name(kind)
            if kind is not None and -id(kind) in self._roots:
                self._labels[-id(kind)] = type_name(kind)

    def rows(self) -> Generator[None, None, list[str]]:
        """Of each chain how many samples have it, whether it ends at a root, and its steps from there on."""
        counts: dict[tuple[bool, Steps], int] = {}
        for sample in self.samples:
            way, rooted, _ = self._path(sample)
            steps = *self._steps(way), self._names.get(self._types[sample], "?")
            counts[rooted, steps] = counts.get((rooted, steps), 0) + 1
            yield
        told = sorted(counts.items(), key=lambda each: (each[1], each[0][0]), reverse=True)
        return [
            "%d\t%d\t%s" % (count, rooted, "\t".join(map(plain, steps)))
            for (rooted, steps), count in told[:MOST_ROWS]
        ]

    def _steps(self, way: list[tuple[int, Parent]]) -> Iterator[str]:
        """In words, from the root on; dicts and cells that belong to somebody are told with him."""
        at = 0
        while at < len(way):
            _, parent = way[at]
            below = way[at + 1][1] if at + 1 < len(way) else None
            kind, name = self.kinds.get(parent.kind), self._names.get(parent.kind, "?")
            label = self._labels.get(parent.node, "")
            if -parent.node in self.modules:
                yield "%s.%s (global)" % (self.modules[-parent.node], parent.name)
            elif kind is not None and kind.is_type:
                attribute = below.name if parent.own and below is not None else ""
                yield "%s (class)" % ".".join(filter(None, (label or name, attribute)))
                at += parent.own
            elif kind is not None and (kind.frame or parent.kind == id(CodeType)):
                yield "%s (local)" % (label or name)
            elif parent.own and below is not None:
                yield "%s.%s" % (name, below.name or "...")
                at += 1
            elif kind is not None and kind.named == 1 and self._is_closure(way[at + 1 : at + 3]):
                yield "%s (closure)" % (label or name)
                at += 2
            elif label:
                yield "%s %s" % (name, label)
            elif kind is not None and kind.container is not None:
                yield "%s[...]" % name
            else:
                yield ".".join(filter(None, (name, parent.name)))
            at += 1

    def _is_closure(self, below: list[tuple[int, Parent]]) -> bool:
        return [self._names.get(parent.kind) for _, parent in below] == ["tuple", "cell"]


def _way(sample: int, last: int, came: dict[int, tuple[int, Parent]]) -> Way:
    way: Way = []
    while last != sample:
        way.append(came[last])
        last = came[last][0]
    return way
