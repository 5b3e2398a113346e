"""For how much of the time others had the processor that somebody wanted: the kernel itself says so."""

from __future__ import annotations

import time
from pathlib import Path

__all__ = ["Withheld"]


class Withheld:
    """Of the main thread of a process, since this was made."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began, self._waited = time.monotonic(), self._seconds()

    @property
    def share(self) -> float:
        """So far."""
        return (self._seconds() - self._waited) / max(time.monotonic() - self._began, 1e-9)

    def _seconds(self) -> float:
        return int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[1]) / 1e9
