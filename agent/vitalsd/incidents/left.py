"""Incidents as an agent that has ended left them, read from its file without an agent."""

from __future__ import annotations

from pathlib import Path

from vitalsd.incidents.database import KIND, decoded, selected
from vitalsd.incidents.query import Wanted
from vitalsd.model import Incident
from vitalsd.storage.file import file_name
from vitalsd.storage.left import left_open

__all__ = ["incidents_file", "incidents_left"]


def incidents_file(folder: Path, listen: str) -> Path:
    """Where the agent that listens there keeps them."""
    return folder / file_name(KIND, listen)


def incidents_left(path: Path, wanted: Wanted) -> list[Incident]:
    """Those that fit, latest opened first; raises VitalsdError where they cannot be read."""
    with left_open(path) as connection:
        return list(decoded(selected(connection, wanted)))
