"""Names of incidents and captures: short, in the order of time, and safe in addresses, paths and shells."""

from __future__ import annotations

import secrets
from collections.abc import Callable

__all__ = ["new_id"]

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""In the order of ASCII, and without those that look alike."""


def new_id(now: float, draw: Callable[[int], int] = secrets.randbits) -> str:
    """Eleven letters and digits: the second it was made in, so that they sort, and 20 random bits."""
    number = (max(0, int(now)) << 20) | draw(20)
    return "".join(DIGITS[number >> shift & 31] for shift in range(50, -1, -5))
