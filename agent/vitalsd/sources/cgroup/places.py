"""
Where each process is accounted for, asked once a minute: what all sources that read control groups remember of it.

A process may be moved to another group, so /proc/PID/cgroup is read again after a minute: 10 us, and whatever the
source finds anew. Whom nobody asks for is forgotten when the next one comes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from vitalsd.model import WorkerKey
from vitalsd.sources.files import read_file

__all__ = ["KEPT_SECONDS", "PLACE_SECONDS", "Places"]

PLACE_SECONDS = 60.0
KEPT_SECONDS = 600.0
"""Whom nobody has asked for in this time is gone: longer than anybody's `sampling.interval`."""

What = TypeVar("What")


class _Known(NamedTuple, Generic[What]):
    until: float
    groups: str
    """/proc/PID/cgroup as it was read."""
    what: What


class Places(Generic[What]):
    """What is known of the place of each process."""

    def __init__(
        self,
        proc: Path,
        find: Callable[[WorkerKey, str, What | None], What],
        forgotten: Callable[[set[WorkerKey], float], None] = lambda _gone, _now: None,
    ) -> None:
        """`find` is told what was found before, as long as the process is in the same groups."""
        self._proc = proc
        self._find = find
        self._forgotten = forgotten
        self._known: dict[WorkerKey, _Known[What]] = {}

    def of(self, key: WorkerKey, now: float) -> What:
        """The place of one process."""
        known = self._known.get(key)
        if known is not None and now < known.until:
            return known.what
        if known is None:
            self._forget(now)
        groups = read_file(f"{self._proc}/{key.pid}/cgroup").decode(errors="replace")
        before = known.what if known is not None and known.groups == groups else None
        found = self._find(key, groups, before)
        self._known[key] = _Known(now + PLACE_SECONDS, groups, found)
        return found

    def _forget(self, now: float) -> None:
        gone = {key for key, known in self._known.items() if now >= known.until + KEPT_SECONDS}
        for key in gone:
            del self._known[key]
        self._forgotten(gone, now)
