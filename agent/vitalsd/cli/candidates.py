"""
What may stand at the end of a command line that is being typed. The parsers say it, so it cannot differ from them.

Pure: names of targets, incidents and captures are looked up by whoever asks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

__all__ = ["ASKED", "FILES", "FOLDERS", "KINDS", "PROGRAM", "WORDS", "Candidates", "Look", "candidates", "fitting"]

WORDS, FILES, FOLDERS, PROGRAM = "words", "files", "folders", "program"
ASKED = ("targets", "workers", "incidents", "captures", "commands")
"""What is to be looked up."""
KINDS: dict[str, str | tuple[str, ...] | None] = {
    "FILE": FILES,
    "PYTHON": FILES,
    "DIR": FOLDERS,
    "-- CMD ...": PROGRAM,
    "T": "targets",
    "TARGET[/WORKER]": "workers",
    "I": "incidents",
    "COMMAND": "commands",
    "LEVEL": ("debug", "info", "warning", "error"),
    "FORMAT": ("auto", "json", "console"),
    "bash|zsh|fish": ("bash", "zsh", "fish"),
    **dict.fromkeys(("ADDR", "D", "N", "P", "R", "RE", "S", "W")),
}
"""What a value is called in the help -> what it can be; an ID is one of what its command is called after."""
Word = tuple[str, str]
"""One that fits, and what it means."""
Look = Callable[[str, argparse.Namespace], Iterable[Word]]
"""Look up one of ASKED, in the agent that the options so far mean."""


class Candidates(NamedTuple):
    """What a shell is to offer: these words, or files, folders, or what another program takes."""

    kind: str = WORDS
    words: tuple[Word, ...] = ()


def candidates(parser: argparse.ArgumentParser, words: Sequence[str], look: Look) -> Candidates:
    """What the last of these words may become; the first of them names the command that `parser` knows."""
    line = _Line(parser, look)
    for word in words[:-1]:
        line.take(word)
    return line.complete(words[-1])


def fitting(begun: str, words: Iterable[Word]) -> Candidates:
    """Those that begin so."""
    return Candidates(WORDS, tuple((word, told) for word, told in words if word.startswith(begun)))


class _Line:
    """A command line as far as it has been typed."""

    def __init__(self, parser: argparse.ArgumentParser, look: Look) -> None:
        self._look = look
        self._given = argparse.Namespace(config=None, listen=None, control_listen=None)
        self._command = ""
        self._waits: argparse.Action | None = None
        self._is_rest = False
        self._used: set[str] = set()
        self._enter(parser)

    def _enter(self, parser: argparse.ArgumentParser) -> None:
        known = [each for each in parser._actions if each.help != argparse.SUPPRESS]  # noqa: SLF001 - nothing else says
        self._options = {name: each for each in known for name in each.option_strings}
        self._places = [each for each in known if not each.option_strings]

    def take(self, word: str) -> None:
        """A word that is complete."""
        if self._waits is not None:
            setattr(self._given, self._waits.dest, word)
            self._waits = None
        elif self._is_rest or word == "--":
            self._is_rest = True
        elif word.startswith("-"):
            self._take_option(*word.partition("="))
        elif self._places:
            action = self._places[0] if self._places[0].nargs == "*" else self._places.pop(0)
            if isinstance(action, argparse._SubParsersAction) and word in action.choices:  # noqa: SLF001
                self._command = self._command or word
                self._enter(action.choices[word])

    def _take_option(self, name: str, equals: str, value: str) -> None:
        action = self._options.get(name)
        if action is None:
            return
        self._used |= set(action.option_strings)
        if equals:
            setattr(self._given, action.dest, value)
        elif action.nargs != 0:
            self._waits = action

    def complete(self, word: str) -> Candidates:
        """What the word that is being typed may become."""
        if self._waits is not None:
            return self._value(self._waits, word)
        if self._is_rest:
            return self._value(self._places[0], word) if self._places else Candidates()
        name, equals, value = word.partition("=")
        if equals and name in self._options:
            found = self._value(self._options[name], value)
            return found._replace(words=tuple((f"{name}={each}", told) for each, told in found.words))
        found = self._value(self._places[0], word) if self._places else Candidates()
        if found.kind == PROGRAM:
            return fitting(word, [*self._unused(), ("--", "and then the command")])
        return fitting(word, self._unused()) if word.startswith("-") or not self._places else found

    def _unused(self) -> list[Word]:
        """The options that were not given yet, in their long form."""
        left = {name: each for name, each in self._options.items() if name not in self._used}
        return [(name, each.help or "") for name, each in left.items() if name[:2] == "--"]

    def _value(self, action: argparse.Action, begun: str) -> Candidates:
        """What an option or a place may be."""
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            told = {each.dest: each.help or "" for each in action._choices_actions}  # noqa: SLF001
            return fitting(begun, told.items())
        if action.choices is not None:
            return fitting(begun, ((str(each), "") for each in action.choices))
        name = str(action.metavar or action.dest.upper())
        kind = self._command if name == "ID" else KINDS.get(name)
        if kind in ASKED:
            return fitting(begun, self._look(str(kind), self._given))
        if isinstance(kind, tuple):
            return fitting(begun, ((each, "") for each in kind))
        return Candidates(kind or WORDS)
