"""
The file that a gunicorn worker touches to show its arbiter that it lives, as it is seen through /proc/PID/fd.

It is unlinked as soon as it is made, so only the descriptor leads to it. What is looked at is its `ctime`: newer
gunicorns set `mtime` to another clock, and older ones change the mode. Finding it reads the links of all
descriptors once; a look is one `stat`, 3 us. Needs the right to read the process's descriptors.
"""

from __future__ import annotations

import os
from pathlib import Path

from vitalsd.sources.permission import unreadable

__all__ = ["HeartbeatFile"]

NAME = "/wgunicorn-"
MOST_DESCRIPTORS = 20_000
"""Whoever has more open is not searched: 2 us for each."""
MADE_NS = 50_000_000
"""To make it takes less: from then on a touch sets another time, or leaves the one that it was made at behind."""
FIND_SECONDS = (1.0, 2.0, 4.0, 8.0, 60.0)
"""How long to wait between two searches in vain: a worker may be younger than its file."""


class HeartbeatFile:
    """That of one worker."""

    def __init__(self, proc: Path, pid: int) -> None:
        self._folder = f"{proc}/{pid}"
        self._file: str | None = None
        self._changed: int | None = None
        self._changed_at = 0.0
        self._looked_at: float | None = None
        self._find_at = 0.0
        self._tries = 0
        self.booted: bool | None = None
        """Whether it was ever touched since it was made."""
        self.missing: str | None = None
        """Why it may not be read."""

    def silent_seconds(self, now: float, wall: float) -> float | None:
        """
        For how long it has not been touched, at CLOCK_MONOTONIC `now` and unix time `wall`; None without a file.

        The wall's clock may be set meanwhile, so it counts for the first look alone.
        """
        if self._file is None and now >= self._find_at:
            self._find(now)
        if self._file is None:
            return None
        try:
            status = os.stat(self._file)  # noqa: PTH116 - each second, of each worker
        except OSError:
            self._file = self._changed = None
            return None
        changed = status.st_ctime_ns
        self.booted = not 0 <= changed - status.st_mtime_ns < MADE_NS
        looked_at, self._looked_at = self._looked_at, now
        if changed != self._changed:
            known = now - looked_at if looked_at is not None and self._changed is not None else float("inf")
            self._changed = changed
            self._changed_at = now - min(known, max(0.0, wall - changed / 1e9))
        return now - self._changed_at

    def pardon(self, seconds: float) -> None:
        """So long nobody has looked: what was silent then may have been touched and gone silent again."""
        self._changed_at += seconds

    def _find(self, now: float) -> None:
        """The one made last is its own: a worker is forked with those of its elder siblings open."""
        self._find_at = now + FIND_SECONDS[min(self._tries, len(FIND_SECONDS) - 1)]
        self._tries += 1
        folder = f"{self._folder}/fd"
        try:
            numbers = os.listdir(folder)  # noqa: PTH208 - as above
        except PermissionError:
            self.missing = unreadable(self._folder, "fd")
            return
        except OSError:
            return
        self.missing = None
        if len(numbers) > MOST_DESCRIPTORS:
            self.missing = (
                f"{folder} has more than {MOST_DESCRIPTORS} descriptors, and is not searched for the file"
            )
            return
        for number in sorted(map(int, numbers), reverse=True):
            try:
                if NAME in os.readlink(f"{folder}/{number}"):  # noqa: PTH115 - as above
                    self._file = f"{folder}/{number}"
                    return
            except OSError:
                continue
