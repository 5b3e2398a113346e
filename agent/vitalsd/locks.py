"""Who holds the record lock of a file: the kernel's word on whether the process that has taken it still runs."""

from __future__ import annotations

import fcntl
import os
import struct

__all__ = ["OUT_OF_SIGHT", "lock_holder"]

OUT_OF_SIGHT = 0
"""What the kernel calls a holder in a pid namespace that is not ours."""
LOCK = struct.Struct("hhqqi")
"""struct flock of 64-bit Linux: type, whence, start, length, pid."""


def lock_holder(descriptor: int) -> int | None:
    """The pid, in our own namespace, of the process that holds the lock; None when nobody else does."""
    question = LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        answer = LOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, question)[: LOCK.size])
    except OSError:
        return None
    return max(answer[4], OUT_OF_SIGHT) if answer[0] != fcntl.F_UNLCK else None
