"""The JSON Schema (2020-12) of the configuration file, for editors: completion, help and red underlines.

The copy beside this file is what `# yaml-language-server: $schema=` points to; a test compares the two. To
renew it: `vitalsd config schema > agent/vitalsd/settings/schema.json`.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import msgspec

from vitalsd.settings.keys import Leaf, Listing, Section, fields
from vitalsd.settings.model import Settings, Target
from vitalsd.settings.show import yaml_value
from vitalsd.settings.units import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_size

__all__ = ["schema", "schema_text"]

PATTERNS: dict[object, str] = {parse_duration: DURATION_PATTERN, parse_size: SIZE_PATTERN}
"""Of what is a number to the agent, and text in the file."""


def schema() -> dict[str, Any]:
    """Return the schema as data."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vitalsd configuration",
        **_mapping(Settings, may_be_empty=True),
    }


def schema_text() -> str:
    """Return the schema as it is printed and committed."""
    return json.dumps(schema(), indent=2) + "\n"


def _mapping(struct: type[msgspec.Struct], *, may_be_empty: bool) -> dict[str, Any]:
    known = fields(struct)
    required = [
        name for name, field in known.items() if isinstance(field, Leaf) and field.default is msgspec.NODEFAULT
    ]
    result: dict[str, Any] = {
        "description": inspect.getdoc(struct),
        "type": ["object", "null"] if may_be_empty else "object",
        "additionalProperties": False,
        "properties": {name: _property(field) for name, field in known.items()},
    }
    if required:
        result["required"] = required
    if struct is Target:
        result["oneOf"] = [{"required": ["match"]}, {"required": ["pid"]}]
    return result


def _property(field: Leaf | Listing | Section) -> dict[str, Any]:
    match field:
        case Section(struct=struct):
            return _mapping(struct, may_be_empty=True)
        case Listing(item=item, description=description):
            items = _mapping(item, may_be_empty=False)
            return {"description": description, "type": ["array", "null"], "items": items, "default": []}
        case Leaf():
            return _leaf(field)


def _leaf(leaf: Leaf) -> dict[str, Any]:
    result = msgspec.json.schema(leaf.annotation)
    if leaf.default is not msgspec.NODEFAULT:
        result["default"] = leaf.default
    if leaf.parse is not None:
        result["description"] += f" Expects {leaf.words}."
    pattern = PATTERNS.get(leaf.parse)
    if pattern is not None:
        del result["minimum"]  # of the seconds or bytes; the file has text
        result |= {"type": "string", "pattern": pattern, "default": yaml_value(leaf.default, leaf.parse)}
    return result
