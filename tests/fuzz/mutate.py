"""
Changes a content as chance has it: a byte, a piece, a number, a text, a word that means something, or its end.

Chance is a `random.Random`: hypothesis has one that it can shrink, and libFuzzer gives a number to begin with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

__all__ = ["mutated"]

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
NUMBERS = (
    *(b"0", b"-1", b"1", b"255", b"65536", b"2147483648", b"4294967296", b"9007199254740993", b"1e308", b"-1e308"),
    *(b"9223372036854775807", b"-9223372036854775808", b"18446744073709551616", b"9" * 400, b"1e999", b"0.1"),
    *(b"NaN", b"-0", b"007", b"1_0", b"nan", b"inf", "٣".encode(), b""),
)
TEXTS = (
    *(b'""', b'"\\u0000"', b'"\\ud800"', b'"\\u001b[2J"', b'"\\n"', b'"' + b"a" * 3000 + b'"', b'"../../x"'),
    *(b"null", b"[]", b"{}", b"true", b'"\\u202e"', b'"\xff"'),
)
PIECES = (
    b"\0",
    b"\n",
    b"\r",
    b"\x1b[2J",
    b"\x85",
    b"\xe2\x80\xa8",
    b"\xff\xfe",
    b"\t",
    b" ",
    b")",
    b"(",
    b":",
    b"=",
)
MOST_REPEATED = 2000


def mutated(chance: Random, content: bytes, words: Sequence[bytes], most_bytes: int) -> bytes:
    """The content after some changes; none of them makes it longer than `most_bytes`."""
    for _ in range(chance.randint(1, 4)):
        content = chance.choice(CHANGES)(chance, content, words)[:most_bytes]
    return content


def _place(chance: Random, content: bytes) -> int:
    return chance.randint(0, len(content))


def _piece(chance: Random, content: bytes) -> tuple[int, int]:
    start = _place(chance, content)
    return start, min(len(content), start + chance.choice((1, 2, 8, 64, 512)))


def _overwritten(chance: Random, content: bytes, _words: Sequence[bytes]) -> bytes:
    start, end = _piece(chance, content)
    new = bytes(chance.randint(0, 255) for _ in range(min(16, end - start)))
    return content[:start] + new + content[start + len(new) :]


def _flipped(chance: Random, content: bytes, _words: Sequence[bytes]) -> bytes:
    if not content:
        return content
    at = chance.randint(0, len(content) - 1)
    return content[:at] + bytes([content[at] ^ 1 << chance.randint(0, 7)]) + content[at + 1 :]


def _removed(chance: Random, content: bytes, _words: Sequence[bytes]) -> bytes:
    start, end = _piece(chance, content)
    return content[:start] + content[end:]


def _moved(chance: Random, content: bytes, _words: Sequence[bytes]) -> bytes:
    start, end = _piece(chance, content)
    to = _place(chance, content)
    return content[:to] + content[start:end] + content[to:]


def _repeated(chance: Random, content: bytes, words: Sequence[bytes]) -> bytes:
    start, end = _piece(chance, content)
    what = chance.choice((content[start:end][:64], b"[", b'{"a":', *words[:8]))
    return content[:start] + what * chance.choice((2, 16, MOST_REPEATED)) + content[start:]


def _cut(chance: Random, content: bytes, _words: Sequence[bytes]) -> bytes:
    return content[: _place(chance, content)]


def _worded(chance: Random, content: bytes, words: Sequence[bytes]) -> bytes:
    at = _place(chance, content)
    return content[:at] + chance.choice((*PIECES, *words)) + content[at:]


def _exchanged(
    pattern: re.Pattern[bytes], those: tuple[bytes, ...]
) -> Callable[[Random, bytes, Sequence[bytes]], bytes]:
    """Of what the pattern finds, one is another."""

    def exchanged(chance: Random, content: bytes, words: Sequence[bytes]) -> bytes:
        found = pattern.search(content, _place(chance, content)) or pattern.search(content)
        if found is None:
            return _worded(chance, content, words)
        return content[: found.start()] + chance.choice(those) + content[found.end() :]

    return exchanged


_other_number, _other_text = _exchanged(NUMBER, NUMBERS), _exchanged(TEXT, TEXTS)
CHANGES = (
    *(_overwritten, _flipped, _removed, _moved, _repeated, _cut, _worded, _worded),
    *(_other_number, _other_number, _other_number, _other_text, _other_text),
)
