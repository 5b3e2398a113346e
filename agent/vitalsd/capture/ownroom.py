"""
What the agent's own control group has left: below a small limit, a program that it starts could end both.

The kernel ends the largest program of ours first, but where it is told to end a whole group at once, as Kubernetes
has it do, the agent goes with it. Costs 0.2 ms once, and 60 us at most once in a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from vitalsd.sources.cgroup.finder import Group, UnseenGroupError
from vitalsd.sources.cgroup.memory import MemoryAccounts, find_memory_group

__all__ = ["KEPT_BYTES", "OwnRoom", "for_programs", "own_room"]

KEPT_BYTES = 6 << 20
"""The agent's own: for a list that somebody asks for, and for py-spy, which may look at a stall meanwhile."""


class OwnRoom:
    """Of the group that this process is in, with everybody else who may be in it."""

    def __init__(self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self._accounts = MemoryAccounts()
        self._group: Group | None = None
        self._looked = False

    def left_bytes(self) -> int | None:
        """Up to the limit that is met first, without what the kernel can take back; None where there is none."""
        group = self._found()
        if group is None:
            return None
        told = self._accounts.read(group, self._clock())
        return told.left_bytes if told.left_bytes is not None else told.headroom_bytes

    def _found(self) -> Group | None:
        if not self._looked:
            self._looked = True
            try:
                self._group = find_memory_group(self._proc, os.getpid())
            except (OSError, UnseenGroupError):
                self._group = None
        return self._group


@cache
def own_room() -> OwnRoom:
    """That of this process."""
    return OwnRoom()


def for_programs(left_bytes: int | None) -> int | None:
    """How much of it a program that is started now may take."""
    return max(0, left_bytes - KEPT_BYTES) if left_bytes is not None else None
