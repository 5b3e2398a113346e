"""The merged configuration as YAML that loads again, on request with the source of each value beside it.

Nothing has to be hidden: secrets are in files of their own, and only the names of those are configuration.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from vitalsd.settings.document import STR, core_tag
from vitalsd.settings.keys import Leaf, Listing, Path, Section, dotted, fields
from vitalsd.settings.units import format_duration, format_size, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import msgspec

    from vitalsd.settings.load import Loaded

__all__ = ["show", "yaml_value"]

_PLAIN = re.compile(r"[A-Za-z0-9/_.](?:[A-Za-z0-9/_.-]|:(?=[A-Za-z0-9]))*")


def show(loaded: Loaded, *, sources: bool = False) -> str:
    """Return `loaded` as YAML, every default included; `sources` adds a comment to each value."""
    lines = []
    for text, path in _lines(loaded.settings, (), ""):
        lines.append(f"{text}  # {loaded.source(dotted(path))}" if sources and path else text)
    return "\n".join(lines) + "\n"


def yaml_value(value: object, parse: Callable[[str], object] | None = None) -> str:
    """Return `value` as it is written in the file; `parse` is what its key is read by."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return format_duration(value)  # every float of the configuration is a duration
        case int() if parse is parse_size:
            return format_size(value)
        case str() if not (_PLAIN.fullmatch(value) and core_tag(value) == STR):
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _lines(struct: msgspec.Struct, path: Path, indent: str) -> Iterator[tuple[str, Path]]:
    for name, field in fields(type(struct)).items():
        here, value = (*path, name), getattr(struct, name)
        if isinstance(field, Section):
            yield f"{indent}{name}:", ()
            yield from _lines(value, here, indent + "  ")
        elif isinstance(field, Listing):
            yield f"{indent}{name}:" + ("" if value else " []"), here
            for index, item in enumerate(value):
                yield from _item(item, (*here, index), indent + "  ")
        elif isinstance(field, Leaf):
            yield f"{indent}{name}: {yaml_value(value, field.parse)}", here


def _item(item: msgspec.Struct, path: Path, indent: str) -> Iterator[tuple[str, Path]]:
    """A key of an item that is not set is left out: of `match` and `pid` only one is there to be read."""
    bullet = "- "
    for line, where in _lines(item, path, ""):
        if getattr(item, str(where[-1])) is not None:
            yield f"{indent}{bullet}{line}", where
            bullet = "  "
