"""YAML text to nodes that know their line and column, with scalars read by the YAML 1.2 core schema.

PyYAML by itself reads YAML 1.1, where `on` is true, `1:30` is 90 and `012` is ten. Nodes instead of values: a
node has a position to blame, and a mapping of nodes still shows a key that was written twice.
"""

from __future__ import annotations

import re

import yaml
from yaml.composer import ComposerError
from yaml.reader import ReaderError

from vitalsd.settings.problems import quoted

__all__ = ["BOOL", "FLOAT", "INT", "NULL", "STR", "MalformedError", "compose", "core_tag"]

NULL, BOOL, INT, FLOAT, STR = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str"))
_CORE_SCHEMA = {
    NULL: re.compile(r"(?:null|Null|NULL|~|)\Z"),
    BOOL: re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"),
    INT: re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"),
    FLOAT: re.compile(
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
}

_TAGS = {*_CORE_SCHEMA, STR, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


class MalformedError(Exception):
    """Text that is not YAML; lines and columns count from 1, and are 0 where PyYAML does not tell."""

    def __init__(self, line: int, column: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.column = column


class _CoreLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        node = super().compose_node(parent, index)
        if node is not None and node.tag not in _TAGS:
            raise ComposerError(None, None, f"the tag {quoted(node.tag)} means nothing here", node.start_mark)
        if isinstance(node, yaml.ScalarNode) and node.tag != STR and core_tag(node.value) != node.tag:
            raise ComposerError(None, None, f"the value does not fit its tag {node.tag}", node.start_mark)
        return node


_CoreLoader.yaml_implicit_resolvers = {}  # YAML 1.1's, which the base class brings
for _tag, _pattern in _CORE_SCHEMA.items():
    _CoreLoader.add_implicit_resolver(_tag, _pattern, None)


def core_tag(text: str) -> str:
    """Return the tag of `text` as a plain scalar."""
    return next((tag for tag, pattern in _CORE_SCHEMA.items() if pattern.match(text)), STR)


def compose(text: str) -> yaml.Node | None:
    """Return the root node of `text`, None if it holds nothing; what is not one document is raised."""
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        assert mark is not None
        sentence = ", ".join(part for part in (error.problem, error.context) if part)
        raise MalformedError(mark.line + 1, mark.column + 1, f"not valid YAML: {sentence}") from None
    except ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise MalformedError(line, column, "not valid YAML: a control character is not allowed") from None
    except RecursionError:
        raise MalformedError(0, 0, "not usable: nested too deeply") from None
    except (ValueError, OverflowError) as error:  # PyYAML on "\UFFFFFFFF" and on absurd version numbers
        raise MalformedError(0, 0, f"not valid YAML: {error}") from None
    return root
