"""
Numbers of system calls, on x86-64 and on aarch64: how they are written down, and the group that two rooms need.

A row is a name and both numbers, `-` where that machine has no such call.
"""

from __future__ import annotations

import os

__all__ = ["EPOLL", "numbers"]

MACHINES = {"x86_64": 1, "aarch64": 2}
EPOLL = "epoll_wait 232 -, epoll_pwait 281 22, epoll_pwait2 441 441"
"""What an event loop waits in."""


def numbers(rows: str, machine: str | None = None) -> tuple[bytes, ...]:
    """Those of this machine, as /proc writes them; none on one that is not known."""
    column = MACHINES.get(machine or os.uname().machine)
    if column is None:
        return ()
    found = (row.split()[column] for row in rows.split(", "))
    return tuple(number.encode() for number in found if number != "-")
