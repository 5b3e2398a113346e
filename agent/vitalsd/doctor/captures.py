"""
What an agent that does not answer has left of its captures: the ledger's file, read as it lies there.

Nothing there is written or locked: a copy is read, with the log in which an agent that was killed may have left
the latest.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

import msgspec

from vitalsd.capture.breaker import open_breakers
from vitalsd.capture.database import KIND
from vitalsd.capture.model import Capture
from vitalsd.doctor.facts import CaptureFacts
from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import storage_dir
from vitalsd.storage.file import file_name

__all__ = ["captures_left"]

MOST_READ = 4000


def captures_left(settings: Settings) -> CaptureFacts:
    """What the file says, or why it says nothing."""
    try:
        path = storage_dir(settings.storage) / file_name(KIND, settings.exporters.prometheus.listen)
    except VitalsdError as error:
        return CaptureFacts(None, problem=str(error))
    try:
        if not path.exists():
            return CaptureFacts(None)
        documents = _documents(path)
    except (OSError, sqlite3.Error) as error:
        said = getattr(error, "strerror", None) or error
        return CaptureFacts(None, problem=f"{path} cannot be read: {said}")
    recent = [capture for document in documents if (capture := _capture(document)) is not None]
    return CaptureFacts(str(path), open_breakers(recent, time.time()))


def _documents(path: Path) -> list[bytes]:
    """Latest asked for first."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for side in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{side}", f"{copy}{side}")
        connection = sqlite3.connect(copy)
        try:
            rows = connection.execute("SELECT document FROM capture ORDER BY number DESC LIMIT ?", (MOST_READ,))
            return [document for (document,) in rows]
        finally:
            connection.close()


def _capture(document: bytes) -> Capture | None:
    try:
        return msgspec.json.decode(document, type=Capture)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
        return None
