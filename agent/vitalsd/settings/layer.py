"""Reads what one side says: a file, one variable of the environment, or one flag.

It walks the nodes along the model and collects values, the place of each, and every problem at its own node,
so that one mistake does not hide the next.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import yaml

from vitalsd.settings.document import BOOL, FLOAT, INT, NULL, STR, MalformedError, compose, core_tag
from vitalsd.settings.keys import Field, Leaf, Listing, Path, Section, dotted, fields
from vitalsd.settings.problems import Place, Problem, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Layer", "advice"]

_WORD = re.compile(r"[A-Za-z0-9_.+-]{1,60}")
MOST_KNOWN = 24
"""Names in one sentence: no section has as many, and all variables together would be a page."""
_TEXT_LIKE = (STR, INT, FLOAT)
"""What a parser is asked about: `interval: 5` deserves its advice."""


class Layer:
    """What one side says. A key that was read badly has a place but no value."""

    def __init__(self, whole: Place) -> None:
        self.whole = whole
        self.values: dict[Path, object] = {}
        self.counts: dict[Path, int] = {}
        """How many items a list has; a list replaces the list of an earlier layer as a whole."""
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []

    def read_document(self, text: str, struct: type[msgspec.Struct]) -> None:
        """Read a whole configuration."""
        root = self._compose(text)
        if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == NULL):
            return
        if isinstance(root, yaml.MappingNode):
            self._mapping(root, struct, ())
        else:
            self._blame(root, (), f"expected {_keys(struct)} at the top level, got {_shown(root)}")

    def read_text(self, text: str, field: Leaf | Listing, path: Path) -> None:
        """Read what the environment or a flag says of one key: YAML for a list, plain text for a leaf."""
        if isinstance(field, Listing):
            root = self._compose(text)
            if root is not None:
                self._value(root, field, path)
            return
        verbatim = field.is_text or field.parse is not None
        tag = NULL if field.optional and not text else STR if verbatim else core_tag(text)
        self.places[path] = self.whole
        try:
            self.values[path] = _convert(field, tag, text)
        except ValueError as error:
            self.problems.append(Problem(self.whole, str(error)))

    def _compose(self, text: str) -> yaml.Node | None:
        try:
            return compose(text)
        except MalformedError as error:
            place = Place(self.whole.side, self.whole.label, error.line, error.column)
            self.problems.append(Problem(place, str(error)))
            return None

    def _mapping(self, node: yaml.MappingNode, struct: type[msgspec.Struct], path: Path) -> None:
        known = fields(struct)
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._blame(key, path, f"a key must be a word, not {_shown(key)}")
                continue
            name, here = key.value, (*path, key.value)
            if name not in known:
                shown = dotted((*path, name if _WORD.fullmatch(name) else quoted(name)))
                self._blame(key, (), f"unknown key {shown}, {advice(name, known)}")
            elif name in seen:
                self._blame(key, here, f"set twice, first in line {seen[name]}")
            else:
                seen[name] = key.start_mark.line + 1
                self._value(value, known[name], here)
        for name, field in known.items():
            if isinstance(field, Leaf) and field.default is msgspec.NODEFAULT and name not in seen:
                self._blame(node, path, f"{name} is missing")

    def _value(self, node: yaml.Node, field: Field, path: Path) -> None:
        # A section or a list of which every line is commented out is null: as good as not there.
        match field, node:
            case Section() | Listing(), yaml.ScalarNode(tag=tag) if tag == NULL:
                pass
            case Section(struct=struct), yaml.MappingNode():
                self._mapping(node, struct, path)
            case Section(struct=struct), _:
                self._blame(node, path, f"expected {_keys(struct)}, got {_shown(node)}")
            case Listing(item=item), yaml.SequenceNode():
                self._items(node, item, path)
            case Listing(), _:
                self._blame(node, path, f"expected a list, got {_shown(node)}")
            case Leaf(), yaml.ScalarNode(tag=tag, value=text):
                self.places[path] = self._place(node)
                try:
                    self.values[path] = _convert(field, tag, text)
                except ValueError as error:
                    self._blame(node, path, str(error))
            case Leaf(), _:
                self.places[path] = self._place(node)
                self._blame(node, path, f"expected {field.words}, got {_shown(node)}")

    def _items(self, node: yaml.SequenceNode, item: type[msgspec.Struct], path: Path) -> None:
        self.places[path] = self._place(node)
        self.counts[path] = len(node.value)
        for index, child in enumerate(node.value):
            here = (*path, index)
            if isinstance(child, yaml.MappingNode):
                self.places[here] = self._place(child)
                self._mapping(child, item, here)
            else:
                self._blame(child, here, f"expected {_keys(item)}, got {_shown(child)}")

    def _place(self, node: yaml.Node) -> Place:
        return Place(self.whole.side, self.whole.label, node.start_mark.line + 1, node.start_mark.column + 1)

    def _blame(self, node: yaml.Node, path: Path, sentence: str) -> None:
        self.problems.append(Problem(self._place(node), f"{dotted(path)}: {sentence}" if path else sentence))


def advice(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Say which known name may have been meant by `name`, or which there are, each behind `prefix`."""
    import difflib

    known = list(known)
    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f"did you mean {prefix}{close[0]}?"
    more = f" and {len(known) - MOST_KNOWN} more" if len(known) > MOST_KNOWN else ""
    return "known here: " + ", ".join(prefix + each for each in known[:MOST_KNOWN]) + more


def _keys(struct: type[msgspec.Struct]) -> str:
    return f"a mapping of {', '.join(fields(struct))}"


def _convert(leaf: Leaf, tag: str, text: str) -> object:
    if tag == NULL and leaf.optional:
        return None
    if tag == STR and not text.isprintable():
        raise ValueError("holds a character that cannot be printed")
    got = _scalar_shown(tag, text)
    value: object
    if leaf.parse is not None and tag in _TEXT_LIKE:
        try:
            value = leaf.parse(text)
        except ValueError as error:
            raise ValueError(f"{error} (got {got})") from None
    else:
        value = _plain(tag, text)
    try:
        return msgspec.convert(value, leaf.annotation)
    except msgspec.ValidationError:
        advice = " (put it in quotes if text is meant)" if leaf.is_text and tag in (INT, FLOAT, BOOL) else ""
        raise ValueError(f"expected {leaf.words}, got {got}{advice}") from None


def _plain(tag: str, text: str) -> object:
    if tag == BOOL:
        return text.lower() == "true"
    # Longer than any number that a key takes, and int() refuses to read thousands of digits.
    if tag == INT and len(text) <= 20:
        return int(text, 0) if text[1:2] in ("o", "x") else int(text)
    return text if tag == STR else ...  # Ellipsis: what no leaf takes


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return _scalar_shown(node.tag, node.value)
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _scalar_shown(tag: str, text: str) -> str:
    if tag == NULL:
        return "nothing"
    return quoted(text) if tag == STR or not _WORD.fullmatch(text) else text
