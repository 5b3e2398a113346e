"""Which signals a process has something to do at, by the masks of /proc/PID/status."""

from __future__ import annotations

__all__ = ["catches"]


def catches(mask: str | None, number: int) -> bool:
    """Whether this signal is in the mask `SigCgt`; none is in one that is not told."""
    return bool(int(mask or "0", 16) >> (number - 1) & 1)
