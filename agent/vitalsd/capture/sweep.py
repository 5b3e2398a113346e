"""Which captures have to go: those that are too old, and the oldest where there are too many. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from vitalsd.capture.model import ENDED, Capture

__all__ = ["size_of", "sweep"]

MOST_STORED = 1000
"""Captures with files: half of what the ledger remembers, so that it forgets none of which there is something."""
OVERHEAD_BYTES = 8192
"""What a folder and its manifest take besides."""


def sweep(
    captures: Sequence[Capture], quota: int, retention: float, now: float, *, room_bytes: int = 0
) -> tuple[Capture, ...]:
    """
    Those to be deleted, of all captures, latest first, so that `room_bytes` more fit into the quota.

    What is pinned stays, whatever it takes. Nothing is too old because a clock was set back.
    """
    stored = [each for each in captures if each.artifacts and each.state in ENDED]
    used = sum(map(size_of, stored)) + room_bytes
    count = len(stored)
    gone = []
    for each in reversed(stored):
        if each.pinned:
            continue
        age = now - (each.ended_at if each.ended_at is not None else each.asked_at)
        if age > retention or used > quota or count > MOST_STORED:
            gone.append(each)
            used -= size_of(each)
            count -= 1
    return tuple(gone)


def size_of(capture: Capture) -> int:
    """What its folder takes of the disk, by what its files are long."""
    return OVERHEAD_BYTES + sum(artifact.size_bytes for artifact in capture.artifacts)
