"""Which descriptors of a process are epolls: 8 us each."""

from __future__ import annotations

import os

__all__ = ["is_epoll", "only_epoll"]

MOST_DESCRIPTORS = 1024
"""Among more of them the only epoll is not looked for."""


def is_epoll(process: str, fd: int) -> bool:
    """Whether this descriptor of the process still is an epoll: a loop that has been closed is no loop."""
    try:
        return os.readlink(f"{process}/fd/{fd}") == "anon_inode:[eventpoll]"  # noqa: PTH115 - text in, text out
    except OSError:
        return False


def only_epoll(process: str) -> int | None:
    """The one epoll that the process has; None where there are several, or too many descriptors to look at."""
    found: int | None = None
    try:
        with os.scandir(process + "/fd") as entries:
            for count, entry in enumerate(entries):
                if count >= MOST_DESCRIPTORS:
                    return None
                fd = int(entry.name)
                if is_epoll(process, fd):
                    if found is not None:
                        return None
                    found = fd
    except OSError:
        return None
    return found
