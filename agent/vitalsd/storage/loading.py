"""
A keeper whose file is read when it is opened: what lies there is taken over before it is written over.

Reading everything is also what finds damage that opening has not; such a file is set aside, and the next attempt
begins a new one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from vitalsd.storage.file import StorageFile, is_damage, left_at
from vitalsd.storage.keeper import Keeper

__all__ = ["LoadingKeeper"]

Database = TypeVar("Database", bound=StorageFile)
Loaded = TypeVar("Loaded")


class LoadingKeeper(Keeper[Database], Generic[Database, Loaded]):
    """One file, its thread, and what lay in the file each time it was opened."""

    def __init__(self, folder: Callable[[], Path], kind: str, listen: str) -> None:
        super().__init__(folder, kind, listen)
        self._loaded: deque[Loaded] = deque()
        """Not taken over yet: until then nothing is written."""
        self.left_at: float | None = None
        """Unix time of the last that an earlier agent has written, whatever of it can be had."""

    @abstractmethod
    def _open_file(self, path: Path) -> Database:
        """Open the file; only the thread calls this."""

    @abstractmethod
    def _load(self, database: Database) -> Loaded:
        """All that is to be taken over; only the thread calls this."""

    def _lies_there(self, loaded: Loaded) -> None:
        """Remember what there is to remember of it; the turn is ours."""

    def taken(self) -> Loaded | None:
        """What lay in the file, once each time it is opened."""
        with self._turn:
            if not self._loaded:
                return None
            loaded = self._loaded.popleft()
            self._turn.notify()
        return loaded

    def _open(self, path: Path) -> Database:
        if not self.tried:
            self.left_at = left_at(path)
        database = self._open_file(path)
        try:
            loaded = self._load(database)
        except Exception as error:
            if is_damage(error):
                database.set_aside(str(error))
            database.close()
            raise
        with self._turn:
            self._lies_there(loaded)
            self._loaded.append(loaded)
        return database
