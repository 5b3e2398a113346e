"""Names of incidents: short, in the order in which they were opened, and safe in addresses and shells."""

from __future__ import annotations

import secrets
from collections.abc import Callable

__all__ = ["new_id"]

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""In the order of ASCII, and without those that look alike."""


def new_id(now: float, draw: Callable[[int], int] = secrets.randbits) -> str:
    """Eleven letters and digits: the second in which it was opened, so that they sort, and 20 random bits."""
    number = (max(0, int(now)) << 20) | draw(20)
    return "".join(DIGITS[number >> shift & 31] for shift in range(50, -1, -5))
