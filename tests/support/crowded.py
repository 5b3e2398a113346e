"""What a test may say of a host on which others have the processors: only with the kernel's own word for it."""

from __future__ import annotations

import time
from pathlib import Path

__all__ = ["BUSY_HOST", "MOST_WITHHELD", "Withheld"]

BUSY_HOST = {"cpu_contention", "host_wide"}
"""Causes of stalls that are no fault of the service."""
MOST_WITHHELD = 0.1
"""A service that waits for a processor for more of the time is late, and rightly told so."""


class Withheld:
    """For which share of the time since this was made the main thread of a process has waited for a processor."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began, self._waited = time.monotonic(), self._seconds()

    @property
    def share(self) -> float:
        """So far."""
        return (self._seconds() - self._waited) / max(time.monotonic() - self._began, 1e-9)

    def _seconds(self) -> float:
        return int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[1]) / 1e9
