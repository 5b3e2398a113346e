"""Ties a process to its parent: when that is gone, however it went, so is the child. One call at the start."""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["end_with_parent"]

PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, signal_number: int) -> None:
    """Have the kernel send `signal_number` when the process `parent`, which started this one, ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:  # it went before the kernel knew
        sys.exit(1)
