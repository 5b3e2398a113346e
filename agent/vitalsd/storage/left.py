"""
A SQLite file as an agent that has ended left it, read without an agent.

The file is opened as it lies. Where its agent was killed, what it wrote last is in a file beside it, which SQLite
takes over; then nobody else may have it, so the agent's own lock is taken meanwhile.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from vitalsd.errors import VitalsdError
from vitalsd.storage.file import locked_file

__all__ = ["left_open"]


@contextlib.contextmanager
def left_open(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, open for reading; VitalsdError where it cannot be read, then or meanwhile."""
    try:
        with _opened(path) as connection:
            yield connection
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
