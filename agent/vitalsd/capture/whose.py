"""
Which of the threads that py-spy saw in a process is the one that was asked for.

By its number, as the process's own namespace has it. That may not be known, or be one of before a fork, which is
nobody's any more; then it is by its name, or by being the only one left that is no other thread of the process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vitalsd.capture.pyspy import ThreadStack
from vitalsd.targets.namespaces import own_number

__all__ = ["thread_of"]

MOST_THREADS = 256


def thread_of(
    pid: int, thread_id: int, name: str, threads: Sequence[ThreadStack], proc: Path = Path("/proc")
) -> ThreadStack | None:
    """The one with this number as we have it, in the process's namespace another; None where it was not seen."""
    own = _own(proc, pid, thread_id)
    for thread in threads:
        if thread.os_thread_id is not None and thread.os_thread_id in (thread_id, own):
            return thread
    others = _of_others(proc, pid, own)
    left = [thread for thread in threads if thread.os_thread_id not in others]
    if len(left) == 1:
        return left[0]
    main = thread_id in (pid, _own(proc, pid, pid))
    wanted = name or ("MainThread" if main else "")
    unnumbered = [thread for thread in left if thread.os_thread_id is None]
    named = [thread for thread in unnumbered or left if wanted and thread.name == wanted]
    return named[0] if len(named) == 1 else None


def _of_others(proc: Path, pid: int, own: int | None) -> set[int]:
    """The numbers of all threads but this one."""
    try:
        tasks = os.listdir(f"{proc}/{pid}/task")  # noqa: PTH208 - the names are all that is wanted
    except OSError:
        return set()
    numbers = (_own(proc, pid, int(task)) for task in tasks[:MOST_THREADS])
    return {number for number in numbers if number not in (None, own)}


def _own(proc: Path, pid: int, thread_id: int) -> int | None:
    """Of the thread in its own pid namespace, which is the one that py-spy reads from its memory."""
    return own_number(f"{proc}/{pid}/task/{thread_id}/status")
