"""Why the turns of a Node process cannot be read, by trying."""

from __future__ import annotations

from pathlib import Path

from vitalsd.sources.room import Descriptors
from vitalsd.sources.uv import UvTurns

__all__ = ["missing_turns"]


def missing_turns(proc: Path, pid: int) -> str | None:
    """None where they can be."""
    turns = UvTurns(proc, pid, Descriptors(1))
    found = turns.epoll is not None
    turns.close()
    return None if found else turns.missing
