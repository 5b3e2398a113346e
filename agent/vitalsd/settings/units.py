"""Durations as people write them, `250ms 15s 5m 1h30m 8d`: Prometheus's own notation, up to days.

Whole numbers only, each unit at most once and the greatest first, so that a duration can be read in one way.
"""

from __future__ import annotations

import re

__all__ = ["DURATION_PATTERN", "format_duration", "parse_duration"]

_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
# Eight digits of days are still exact in a float of seconds, to the millisecond.
DURATION_PATTERN = "^(?=[0-9])" + "".join(f"([0-9]{{1,8}}{unit})?" for unit in _MILLISECONDS) + "$"
_DURATION = re.compile(DURATION_PATTERN)
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
