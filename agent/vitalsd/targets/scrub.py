"""
Hides what looks like a secret in a command line. Pure.

Each argument is looked at by itself, since only its bounds tell where a secret ends:

- the argument after `--password` is one, whatever is in it;
- what follows `password=` or `Authorization:` is one to the end of the argument, when that begins with it;
- within a longer text (`sh -c "..."`, a title of the process's own) a secret ends as a word of a shell does.

In doubt too much is hidden: a command is shown so that somebody recognizes it, and for nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["scrub"]

MAX_COMMAND = 200
LONGEST_ARGUMENT = 1000
"""No longer one is looked at, or shown: five times what there is room for."""
HIDDEN = "***"

NAME = r"""[\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|credential|authorization)[\w-]*["']?"""
IS_NAME = re.compile(rf"(?i)[^\w\s]*+{NAME}\s*[:=]?\s*")
IS_SCHEME = re.compile(r"(?i)bearer|basic")
BEGINS_WITH_NAME = re.compile(rf"(?is)(\S*?(?<![\w-]){NAME}\s*[:=]\s*).+")
VALUE = r"""(?:"(?:\\.|[^"\\])*+(?:"|\Z)|'[^']*+(?:'|\Z)|\\.|[^\s"'\\])++"""
"""A word of a shell: quotes hold it together, and one that never ends goes on to the end."""
IN_TEXT = re.compile(rf"(?is)((?<![\w-]){NAME}(?:\s*[:=]\s*|\s+(?!-+{NAME}))(?:(?:bearer|basic)\s+)?){VALUE}")
BEGINS_WITH_URL = re.compile(r"(?s)(\S*?(?<!\w)\w+://).*@")
URL_IN_TEXT = re.compile(r"(?<!\w)(\w+://)\S*@")


def scrub(arguments: Iterable[str]) -> str:
    """The command line without what looks like a secret, and not too long."""
    shown: list[str] = []
    length = -1
    secret = False
    for argument in arguments:
        text = HIDDEN if secret else _scrub_one(argument)
        start = argument[:LONGEST_ARGUMENT]
        secret = bool(IS_NAME.fullmatch(start) or (secret and IS_SCHEME.fullmatch(start)))
        shown.append(text)
        length += 1 + len(text)
        if length > MAX_COMMAND:
            break
    command = " ".join(shown)
    return command if len(command) <= MAX_COMMAND else command[: MAX_COMMAND - 1] + "…"


def _scrub_one(argument: str) -> str:
    if len(argument) > LONGEST_ARGUMENT:
        return "…"
    return _hide(_hide(argument, BEGINS_WITH_URL, URL_IN_TEXT, "@"), BEGINS_WITH_NAME, IN_TEXT)


def _hide(text: str, at_its_beginning: re.Pattern[str], anywhere: re.Pattern[str], end: str = "") -> str:
    first = at_its_beginning.match(text)
    if first is not None:
        return f"{first[1]}{HIDDEN}{end}{text[first.end() :]}"
    return anywhere.sub(rf"\1{HIDDEN}{end}", text)
