"""
What every command says of itself, beside its options: examples, exit codes, where to read more.

A command has it as data; `--help`, `vitalsd help`, the page of the manual and docs/commands.md are made of that
and of the parsers.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["USAGE", "Formatter", "Manual", "epilog", "own_commands", "usage"]

WIDEST = 100

USAGE = "the options or the configuration are wrong"
"""What 2 is of every command that says nothing else of it."""
Codes = Mapping[int | str, str]


class Manual(NamedTuple):
    """What stands below the options of one command."""

    examples: Mapping[str, str]
    """A command line -> what it is for."""
    codes: Codes
    """What 0 and 1 mean here, and what else there is; words stand for many codes."""
    read: tuple[str, ...]
    """Pages of the documentation, as they are called in the repository."""

    def all_codes(self) -> dict[int | str, str]:
        """With what is the same everywhere, in their order; words come last."""
        codes = {2: USAGE, **self.codes}
        return dict(sorted(codes.items(), key=lambda one: (isinstance(one[0], str), one[0])))


class Formatter(argparse.HelpFormatter):
    """Fills the paragraphs of a text, and leaves alone what is indented: lists, and lines to be typed."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=min(shutil.get_terminal_size().columns - 2, WIDEST))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = text.splitlines()
        margin = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
        dedented = "\n".join([*lines[:1], *(line[margin:] for line in lines[1:])]).strip()
        parts = [
            part if "\n  " in part else super(Formatter, self)._fill_text(part, width, indent)
            for part in dedented.split("\n\n")
        ]
        return "\n\n".join(parts)


def epilog(manual: Manual) -> str:
    """The end of a help text."""
    lines = ["examples:"]
    for line, text in manual.examples.items():
        lines += [f"  {line}", f"      {text}"]
    lines += ["", "exit codes:"]
    lines += [f"  {code}  {text}" for code, text in manual.all_codes().items()]
    return "\n".join([*lines, "", f"read more: {', '.join(manual.read)}"])


def usage(parser: argparse.ArgumentParser) -> str:
    """How it is called, in a line: its options stand below, and argparse would repeat all of them."""
    words = [parser.prog, "[OPTIONS]"]
    for action in parser._actions:  # noqa: SLF001 - there is no other way to what a parser knows
        if not action.option_strings and action.help != argparse.SUPPRESS:
            name = str(action.metavar or action.dest)
            words.append({"?": f"[{name}]", "*": f"[{name} ...]"}.get(str(action.nargs), name))
    return " ".join(words)


def own_commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers below this one by name."""
    for action in parser._actions:  # noqa: SLF001 - there is no other way to what a parser knows
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}
