"""
Whether a worker may be asked for a census now: not while it stalls, is stopped, or is short of what one takes.

What it takes is 1 MiB of memory and four descriptors, for two seconds; there must be several times that, of the
control group's limit and of the process's own. Six an hour of one worker. Three small files of /proc are read, in
microseconds.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from vitalsd.capture.tokens import Bucket
from vitalsd.model import WorkerKey, WorkerSample
from vitalsd.sources.rlimits import memory_left

__all__ = ["CensusPolicy"]

BURST, REFILL_SECONDS = 6, 600.0
NEED_BYTES = 4 << 20
NEED_DESCRIPTORS = 8
KEPT_WORKERS = 1024


class CensusPolicy:
    """What is known of workers that tells for or against a census."""

    def __init__(
        self,
        stalling: Callable[[WorkerKey], bool],
        *,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stalling = stalling
        self._proc = proc
        self._clock = clock
        self._buckets: OrderedDict[WorkerKey, Bucket] = OrderedDict()

    def has_gone(self, key: WorkerKey) -> bool:
        """Whether this process has ended."""
        return self._state(key) is None

    def refusal(self, worker: WorkerSample, key: WorkerKey) -> tuple[str, str] | None:
        """Why it is to be left alone now: a word, and a sentence. None takes one of its budget."""
        state = self._state(key)
        if state is None:
            return "gone", f"process {key.pid} has ended"
        if state in "Tt":
            return "stopped", f"process {key.own_number} is stopped, and left alone meanwhile"
        if self._stalling(key):
            return "stall", "its event loop is late, and left alone meanwhile"
        group = worker.memory.group if worker.memory is not None else None
        headroom = group.headroom_bytes if group is not None else None
        for left in (headroom, self._left_by_itself(key)):
            if left is not None and left < 2 * NEED_BYTES:
                least = 2 * NEED_BYTES >> 20
                return "headroom", f"only {left >> 20} MiB are left of its memory limit, and {least} must be"
        process = worker.process
        opened, most = (process.open_fds, process.max_fds) if process is not None else (None, None)
        if opened is not None and most is not None and most - opened < NEED_DESCRIPTORS:
            return "descriptors", f"{opened} of its {most} file descriptors are open"
        if not self._take(key):
            return "budget", f"the budget of {BURST} censuses, one more each {REFILL_SECONDS:g} s, is used up"
        return None

    def _left_by_itself(self, key: WorkerKey) -> int | None:
        """Of RLIMIT_AS and RLIMIT_DATA; beyond them an allocation of the service's own would fail."""
        try:
            return memory_left(f"{self._proc}/{key.pid}")
        except (OSError, ValueError, IndexError):
            return None

    def _state(self, key: WorkerKey) -> str | None:
        """The kernel's letter, none of them for who is out of sight; None when it has ended."""
        if not key.in_sight:
            return "?"
        try:
            stat = (self._proc / str(key.pid) / "stat").read_bytes().rpartition(b")")[2].split()
            state, started = stat[0].decode(), int(stat[19])
        except (OSError, ValueError, IndexError):
            return None
        return None if started != key.start_ticks or state in "ZX" else state

    def _take(self, key: WorkerKey) -> bool:
        bucket = self._buckets.pop(key, None) or Bucket(BURST, REFILL_SECONDS, self._clock())
        self._buckets[key] = bucket
        while len(self._buckets) > KEPT_WORKERS:
            self._buckets.popitem(last=False)
        return bucket.take(self._clock())
