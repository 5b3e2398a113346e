"""Where a value was written and what is wrong with it; all that is wrong is told at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from vitalsd.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ENVIRONMENT", "FILE", "FLAG", "ConfigErrors", "Place", "Problem", "quoted"]

FILE, ENVIRONMENT, FLAG = range(3)
_LONGEST_QUOTE = 60


class Place(msgspec.Struct, frozen=True, order=True):
    """Where a value was written, in the order in which problems are told."""

    side: int
    """FILE, ENVIRONMENT or FLAG."""
    label: str
    """The file, the name of the variable, or the flag."""
    line: int = 0
    """From 1; 0 stands for the whole."""
    column: int = 0

    def __str__(self) -> str:
        return f"{self.label}:{self.line}:{self.column}" if self.side == FILE and self.line else self.label

    @property
    def source(self) -> str:
        """What `config show --sources` says of a value from here."""
        return f"{self.label}:{self.line}" if self.side == FILE else self.label


class Problem(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong."""

    place: Place
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


class ConfigErrors(UsageError):  # noqa: N818 - it carries all of them
    """A configuration that cannot be used, with everything that is wrong with it, a line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


def quoted(text: str) -> str:
    """Return `text` in quotes and on one line, cut where it would drown the sentence it stands in."""
    short = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "..."
    return json.dumps(short, ensure_ascii=not short.isprintable())
