"""
Removes segments that dead processes of this user left behind, a few at a time, when a new one is made, and the
sockets beside them.

The agent does so too; this is for machines where none runs. Costs one look at the folder.
"""

from __future__ import annotations

import fcntl
import os
from time import time

from .protocol import SUFFIX

DEAD_SEGMENTS_LOOKED_AT = 64
YOUNG_SECONDS = 60.0


def sweep(folder: str) -> None:
    """Remove each file that nobody holds a lock on and whose process is gone."""
    looked_at = 0
    for name in os.listdir(folder):
        parts = name.lstrip(".").split("-")
        if not name.endswith(".seg") or len(parts) != 3 or not parts[1].isdigit():
            continue
        looked_at += 1
        if looked_at > DEAD_SEGMENTS_LOOKED_AT:
            return
        if os.path.exists("/proc/" + parts[1]):
            continue  # alive, or its pid is somebody else's by now: the agent will tell
        try:
            if time() - os.stat(os.path.join(folder, name)).st_ctime < YOUNG_SECONDS:
                continue  # it may be in the making
            _remove_if_unlocked(os.path.join(folder, name))
        except OSError:
            continue


def _remove_if_unlocked(path: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails for one that lives in another pid namespace
            try:
                os.unlink(path + SUFFIX)
            except FileNotFoundError:
                pass
            os.unlink(path)
    finally:
        os.close(fd)
