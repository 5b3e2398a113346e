"""
One capture at a time on a host, whichever agent takes it: a name that only one socket can have.

An abstract name needs no folder, is the same for every user, and is free again as soon as its process has ended,
however that ends. It belongs to the network namespace: a pod's agents share one, and containers of one host that
have networks of their own do not. Who takes the name to keep others from capturing gets just that.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

__all__ = ["host_lock", "look_lock"]

NAME = "\0vitalsd-capture"
LOOKS = NAME + "-stacks"


@contextlib.contextmanager
def host_lock(name: str = NAME) -> Iterator[bool]:
    """Whether it was to be had; it is held within the block."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as holder:
        try:
            holder.bind(name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            yield False
        else:
            yield True


def look_lock() -> contextlib.AbstractContextManager[bool]:
    """The same for what takes a moment, and must not wait for what takes minutes: the stacks of now."""
    return host_lock(LOOKS)
