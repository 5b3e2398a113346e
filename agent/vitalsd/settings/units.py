"""Durations as people write them, `250ms 15s 5m 1h30m 8d`: Prometheus's own notation, up to days; sizes, `256MiB`.

Whole numbers only, each unit at most once and the greatest first, so that a duration can be read in one way.
A size has one unit, a power of 1024: `MB` means one thing to a disk and another to memory.
"""

from __future__ import annotations

import re

__all__ = ["DURATION_PATTERN", "SIZE_PATTERN", "format_duration", "format_size", "parse_duration", "parse_size"]

_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
# Eight digits of days are still exact in a float of seconds, to the millisecond.
DURATION_PATTERN = "^(?=[0-9])" + "".join(f"([0-9]{{1,8}}{unit})?" for unit in _MILLISECONDS) + "$"
_DURATION = re.compile(DURATION_PATTERN)
_BYTES = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}
SIZE_PATTERN = f"^[0-9]{{1,15}}({'|'.join(_BYTES)})$"
_SIZE = re.compile(SIZE_PATTERN)
_BARE_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+")


def parse_duration(text: str) -> float:
    """Return the seconds that `text` stands for; a ValueError says in a sentence why it stands for none."""
    if _BARE_NUMBER.fullmatch(text):
        raise ValueError("needs a unit, for example 15s")
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("expected a duration in whole numbers, such as 250ms, 15s or 1h30m")
    parts = zip(match.groups(), _MILLISECONDS.items(), strict=True)
    return sum(int(part.removesuffix(unit)) * size for part, (unit, size) in parts if part) / 1_000


def format_duration(seconds: float) -> str:
    """Return the shortest way to write `seconds`, to the millisecond."""
    rest = round(seconds * 1_000)
    parts = []
    for unit, size in _MILLISECONDS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Return the bytes that `text` stands for; a ValueError says in a sentence why it stands for none."""
    if _BARE_NUMBER.fullmatch(text):
        raise ValueError("needs a unit, for example 256MiB")
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("expected a size as a whole number of B, KiB, MiB, GiB or TiB, such as 256MiB")
    return int(text.removesuffix(match[1])) * _BYTES[match[1]]


def format_size(size: int) -> str:
    """Return the way to write `size` with the greatest unit of which it is a whole number."""
    unit = next(unit for unit, bytes_of in _BYTES.items() if size % bytes_of == 0 and (size or bytes_of == 1))
    return f"{size // _BYTES[unit]}{unit}"
