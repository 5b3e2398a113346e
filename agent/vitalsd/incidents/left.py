"""
Incidents as an agent that has ended left them, read from its file without an agent.

The file is opened as it lies. Where its agent was killed, what it wrote last is in a file beside it, which SQLite
takes over; then nobody else may have it, so the agent's own lock is taken meanwhile.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from vitalsd.errors import VitalsdError
from vitalsd.incidents.database import KIND, decoded, selected
from vitalsd.incidents.query import Wanted
from vitalsd.model import Incident
from vitalsd.storage.file import file_name, locked_file

__all__ = ["incidents_file", "incidents_left"]


def incidents_file(folder: Path, listen: str) -> Path:
    """Where the agent that listens there keeps them."""
    return folder / file_name(KIND, listen)


def incidents_left(path: Path, wanted: Wanted) -> list[Incident]:
    """Those that fit, latest opened first; raises VitalsdError where they cannot be read."""
    try:
        with _opened(path) as connection:
            return list(decoded(selected(connection, wanted)))
    except (OSError, sqlite3.Error) as error:
        raise VitalsdError(f"What the last agent has left in {path} cannot be read: {error}.") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    beside = path.with_name(path.name + "-wal")
    is_whole = not beside.exists() or not beside.stat().st_size
    with contextlib.ExitStack() as stack:
        if not is_whole:
            stack.enter_context(locked_file(path))
        how = "mode=ro&immutable=1" if is_whole else "mode=rw"
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=1.0)
        yield stack.enter_context(contextlib.closing(connection))
