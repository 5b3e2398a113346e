"""Numbers as the kernel writes them into files of procfs and of control groups. 0.1 us each. Pure."""

from __future__ import annotations

__all__ = ["count", "is_count"]

MOST_DIGITS = 18
"""Of whatever is counted in 64 bits: more of them is damage, and would be no number of any use to anybody."""


def is_count(text: bytes) -> bool:
    """Whether it is a number, and one that a kernel can have."""
    return text.isdigit() and len(text) <= MOST_DIGITS


def count(text: bytes) -> int:
    """The number; ValueError where it is none."""
    if not is_count(text):
        raise ValueError(f"{text[:32]!r} is no count")
    return int(text)
