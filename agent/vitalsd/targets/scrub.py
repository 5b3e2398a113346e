"""
Hides what looks like a secret in a command line. Pure.

Each argument is looked at by itself, since only its bounds tell where a secret ends:

- the argument after `--password` is one, whatever is in it;
- short words (`pass`, `auth`) count as a whole part of a name alone, and in front of an argument only with a dash;
- clients of MySQL have their password behind `-p`, without a space;
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

LONG = "password|passwd|passphrase|secret|token|api[_-]?key|credential|authorization"
SHORT = r"(?<![^\W_])(?:pass|pwd|auth|private[_-]?key)(?![^\W_])"
LONG_NAME = rf"""[\w-]*(?:{LONG})[\w-]*["']?"""
SHORT_NAME = rf"""[\w-]*{SHORT}[\w-]*["']?"""
NAME = rf"""[\w-]*(?:{LONG}|{SHORT})[\w-]*["']?"""
IS_NAME = re.compile(rf"(?i)(?:[^\w\s]*+{LONG_NAME}|[^\w\s]*+(?<=-){SHORT_NAME})\s*[:=]?\s*")
IS_SCHEME = re.compile(r"(?i)bearer|basic")
BEGINS_WITH_NAME = re.compile(rf"(?is)(\S*?(?<![\w-]){NAME}\s*[:=]\s*).+")
VALUE = r"""(?:"(?:\\.|[^"\\])*+(?:"|\Z)|'[^']*+(?:'|\Z)|\\.|[^\s"'\\])++"""
"""A word of a shell: quotes hold it together, and one that never ends goes on to the end."""
IN_TEXT = re.compile(
    rf"(?is)((?<![\w-])(?:{NAME}\s*[:=]\s*|(?:{LONG_NAME}|(?=-){SHORT_NAME})\s+(?!-+{NAME}))"
    rf"(?:(?:bearer|basic)\s+)?){VALUE}"
)
MYSQL = r"(?:mysql|mariadb)[\w-]*|sshpass"
IS_MYSQL = re.compile(rf"(?:\S*/)?(?:{MYSQL})")
MYSQL_IN_TEXT = re.compile(rf"((?<![\w-])(?:{MYSQL})\s(?:[^\n;|&]{{0,{LONGEST_ARGUMENT}}}?\s)??-p)(?=\S){VALUE}")
BEGINS_WITH_URL = re.compile(r"(?s)(\S*?(?<!\w)\w+://).*@")
URL_IN_TEXT = re.compile(r"(?<!\w)(\w+://)\S*@")


def scrub(arguments: Iterable[str]) -> str:
    """The command line without what looks like a secret, and not too long."""
    shown: list[str] = []
    length = -1
    secret = mysql = False
    for argument in arguments:
        start = argument[:LONGEST_ARGUMENT]
        if secret:
            text = HIDDEN
        elif mysql and len(start) > 2 and start.startswith("-p"):
            text = f"-p{HIDDEN}"
        else:
            text = _scrub_one(argument)
        mysql = mysql or IS_MYSQL.fullmatch(start) is not None
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
    text = MYSQL_IN_TEXT.sub(rf"\1{HIDDEN}", argument)
    return _hide(_hide(text, BEGINS_WITH_URL, URL_IN_TEXT, "@"), BEGINS_WITH_NAME, IN_TEXT)


def _hide(text: str, at_its_beginning: re.Pattern[str], anywhere: re.Pattern[str], end: str = "") -> str:
    first = at_its_beginning.match(text)
    if first is not None:
        return f"{first[1]}{HIDDEN}{end}{text[first.end() :]}"
    return anywhere.sub(rf"\1{HIDDEN}{end}", text)
