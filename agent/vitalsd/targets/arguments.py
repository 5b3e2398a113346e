"""
What a command line runs, and which values its options have. Pure.

An interpreter is looked through: `python -m gunicorn`, `python /venv/bin/gunicorn` and `gunicorn` are one program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

__all__ = ["Program", "option", "program_of", "script_of"]

INTERPRETERS = re.compile(r"(python|pypy|node)(?:js)?[\d.]*")
INTERPRETER_OPTIONS = {
    "python": frozenset(("-W", "-X", "--check-hash-based-pycs")),
    "pypy": frozenset(("-W", "-X")),
    "node": frozenset(("-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions")),
}
"""Options whose next word is their value."""


class Program(msgspec.Struct, frozen=True):
    """What runs, and what it was given."""

    name: str
    """The module that was asked for, or the script or the executable without its folder."""
    words: tuple[str, ...] = ()
    interpreter: str | None = None
    """`python`, `pypy` or `node`; None where something else was executed."""
    script: str | None = None
    """The file or module as it was spelled; None for code on the command line."""


def program_of(arguments: str) -> Program:
    """What runs, from a command line with a NUL between its arguments."""
    words = arguments.split("\0")
    name = _base(words[0])
    interpreter = INTERPRETERS.fullmatch(name)
    if interpreter is None:
        return Program(name, tuple(words[1:]))
    kind = interpreter[1]
    script, rest = script_of(words[1:], INTERPRETER_OPTIONS[kind])
    return Program(_base(script or "") or name, tuple(rest), kind, script)


def script_of(words: Sequence[str], with_value: frozenset[str]) -> tuple[str | None, Sequence[str]]:
    """The file or module that an interpreter was told to run, None for code, and what follows it."""
    at = 0
    while at < len(words):
        word = words[at]
        if word == "-m":
            return (words[at + 1] if at + 1 < len(words) else None), words[at + 2 :]
        if word in ("-c", "-e", "-p", "--eval", "--print"):
            return None, words[at + 2 :]
        if not word.startswith("-"):
            return word, words[at + 1 :]
        at += 2 if word in with_value else 1
    return None, ()


def option(words: Sequence[str], short: str, *long: str, flags: str = "", shortest: str = "") -> str | None:
    """
    The value that an option was given last, None where it was not.

    `flags` are letters of options without a value, which may stand before this one's. A parser that takes
    abbreviations takes all that begin with `shortest`.
    """
    value = None
    before = f"[{flags}]*" if flags else ""
    attached = re.compile(f"-{before}{short[1:]}(.*)", re.DOTALL)
    rest = iter(words)
    for word in rest:
        if word == "--":
            break
        name, equals, told = word.partition("=")
        if name.startswith("--"):
            is_it = name in long or (shortest and name.startswith(shortest) and long[0].startswith(name))
            if is_it:
                value = told if equals else next(rest, None)
        elif short and (found := attached.fullmatch(word)) is not None:
            value = found[1].removeprefix("=") or next(rest, None)
    return value


def _base(word: str) -> str:
    return word.rpartition("/")[2]
