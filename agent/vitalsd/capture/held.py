"""
For how long a service was held by whoever looks into it: what the kernel says of its main thread, looked at often.

A process that a debugger or a profiler stops is in state `t`, tracing stop: that is the pause a capture would
cause by looking, and the one that `--nonblocking` promises not to cause. Each look is a read of
`/proc/PID/task/PID/stat`, 6 us. The longest stretch counts, from the last look before it to the first after it, so
it is told too long rather than too short; one that lies between two looks is not seen. A service that somebody
else has stopped is in state `T`, which is noted, and is no pause of ours.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["HeldWatch"]


class HeldWatch:
    """One process, while it is being captured."""

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self.longest_seconds = 0.0
        self.stopped = False
        """Somebody has stopped it meanwhile."""
        self._free_at = time.monotonic()
        self._held = False
        try:
            self._file: int | None = os.open(proc / str(pid) / "task" / str(pid) / "stat", os.O_RDONLY)
        except OSError:
            self._file = None

    def look(self) -> None:
        """Look once."""
        state = self._state()
        now = time.monotonic()
        if state == b"t" or self._held:
            self.longest_seconds = max(self.longest_seconds, now - self._free_at)
        self._held = state == b"t"
        self.stopped = self.stopped or state == b"T"
        if not self._held:
            self._free_at = now

    def _state(self) -> bytes:
        if self._file is None:
            return b""
        try:
            return os.pread(self._file, 512, 0).rpartition(b")")[2].split(None, 1)[0]
        except (OSError, IndexError):
            return b""  # it has gone

    def close(self) -> None:
        """Look no longer."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
