"""The structs of the model as a tree of sections, lists and leaves, which everything else here walks."""

from __future__ import annotations

import typing
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from vitalsd.settings.model import Settings
from vitalsd.settings.units import format_duration

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Field", "Leaf", "Listing", "Path", "Section", "dotted", "fields", "settable"]

Path = tuple[str | int, ...]
"""Where a key is: `("targets", 0, "name")`."""


class Section(msgspec.Struct, frozen=True):
    """A key that holds keys."""

    struct: type[msgspec.Struct]


class Listing(msgspec.Struct, frozen=True):
    """A key that holds a list of structs."""

    item: type[msgspec.Struct]
    description: str


class Leaf(msgspec.Struct, frozen=True):
    """A key that holds one value."""

    annotation: Any
    """What msgspec.convert judges the value by."""
    words: str
    """What is expected, to be said in a sentence."""
    description: str
    parse: Callable[[str], object] | None
    """Makes the value out of its text, or raises a ValueError that says why not."""
    is_text: bool
    optional: bool
    default: Any
    """msgspec.NODEFAULT where a value is required."""


Field = Section | Listing | Leaf


@cache
def fields(struct: type[msgspec.Struct]) -> dict[str, Field]:
    """Return the keys of `struct`, in the order in which they are defined."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    annotations = typing.get_type_hints(struct, include_extras=True)
    return {field.name: _field(field, annotations[field.name]) for field in info.fields}


def settable(
    struct: type[msgspec.Struct] = Settings, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Leaf | Listing]]:
    """Yield every key that the environment or a flag can set: the leaves outside of lists, and the lists."""
    for name, field in fields(struct).items():
        if isinstance(field, Section):
            yield from settable(field.struct, (*path, name))
        else:
            yield (*path, name), field


def dotted(path: Path) -> str:
    """Return `targets[0].name` for `("targets", 0, "name")`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _field(field: inspect.Field, annotation: Any) -> Field:
    bare, extra, description, optional = field.type, {}, "", False
    while isinstance(bare, inspect.Metadata | inspect.UnionType):
        if isinstance(bare, inspect.UnionType):
            optional = True
            bare = next(part for part in bare.types if not isinstance(part, inspect.NoneType))
        else:
            extra.update(bare.extra or {})
            description = (bare.extra_json_schema or {}).get("description", description)
            bare = bare.type
    if isinstance(bare, inspect.StructType):
        return Section(bare.cls)
    if isinstance(bare, inspect.ListType):
        assert isinstance(bare.item_type, inspect.StructType)
        return Listing(bare.item_type.cls, description)
    return Leaf(
        annotation=annotation,
        words=_words(bare, annotation, extra.get("words", "text")),
        description=description,
        parse=extra.get("parse"),
        is_text=isinstance(bare, inspect.StrType),
        optional=optional,
        default=field.default,
    )


def _words(bare: inspect.Type, annotation: Any, words: str) -> str:
    match bare:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=int(low), le=int(high)):
            return f"a number from {low} to {high}"
        case inspect.FloatType(ge=float(low)):
            return f"{words} of at least {format_duration(low)}"
        case inspect.LiteralType():
            # Of the annotation, which keeps the order in which they were written.
            *most, last = typing.get_args(typing.get_args(annotation)[0])
            return f"{', '.join(most)} or {last}"
        case _:
            return words
