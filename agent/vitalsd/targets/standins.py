"""
Stand-ins for processes that this agent does not see, and whose segments it reads all the same.

An agent in another pid namespace has no number for them, and with /proc mounted hidepid it has nothing to read
under the one they have. Their probes tell of them, so each gets a number that no process can have (see
`WorkerKey.in_sight`), the same one for as long as its segment is there, over restarts of the agent too.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Container
from pathlib import Path

from vitalsd.model import STAND_INS

__all__ = ["ANOTHER_NAMESPACE", "HIDDEN", "StandIns"]

ANOTHER_NAMESPACE = (
    "its process is in another pid namespace, so its probe alone tells of it: have this agent share that one "
    "(shareProcessNamespace in a pod, hostPID on a node, --pid in Docker)"
)
HIDDEN = (
    "its process is hidden from this agent, since /proc is mounted with hidepid, so its probe alone tells of it: "
    "run the agent as its user, or with CAP_SYS_PTRACE"
)
MOST = 511
"""Of those that have the same pid, each in a namespace of its own: a pid is a signed word of 32 bits."""


class StandIns:
    """The stand-in of each segment whose process is out of sight, and why it is."""

    def __init__(self) -> None:
        self._pids: dict[Path, int] = {}
        self._reasons: dict[int, str] = {}

    @property
    def reasons(self) -> dict[int, str]:
        """Stand-in -> why its process is not to be seen."""
        return self._reasons

    def known(self, path: Path) -> int | None:
        """The one that this segment's process has had so far."""
        return self._pids.get(path)

    def put(self, path: Path, own_number: int, reason: str) -> int | None:
        """The one for this segment's process, by its own pid; None where there are no more."""
        pid = self._pids.get(path) or _free(path.name, own_number % STAND_INS, self._reasons)
        if pid is not None:
            self._pids[path], self._reasons[pid] = pid, reason
        return pid

    def drop(self, path: Path) -> None:
        """It is in sight by now, or gone."""
        pid = self._pids.pop(path, None)
        if pid is not None:
            del self._reasons[pid]


def _free(name: str, own_number: int, taken: Container[int]) -> int | None:
    first = crc32(name.encode())
    numbers = ((1 + (first + step) % MOST) * STAND_INS + own_number for step in range(MOST))
    return next((number for number in numbers if number not in taken), None)
