"""
Captures as an agent that has ended left them, read from its ledger without an agent.

One that was under way then is told as the next agent would tell it: cut off.
"""

from __future__ import annotations

from pathlib import Path

from vitalsd.capture.database import KIND, lying
from vitalsd.capture.ledger import cut_off
from vitalsd.capture.model import ACTIVE, Capture
from vitalsd.storage.file import file_name
from vitalsd.storage.left import left_open

__all__ = ["captures_file", "captures_left"]


def captures_file(folder: Path, listen: str) -> Path:
    """Where the agent that listens there keeps its ledger."""
    return folder / file_name(KIND, listen)


def captures_left(path: Path, now: float) -> list[Capture]:
    """All but those that were deleted, latest asked for first; raises VitalsdError where they cannot be read."""
    with left_open(path) as connection:
        lie_there = [entry.capture for entry in lying(connection) if not entry.removed]
    return [cut_off(each, now) if each.state in ACTIVE else each for each in lie_there]
