"""
A process that lies in wait while somebody is attached, and closes the inspector if they end before it is closed.

It is forked before the signal is sent, has a session of its own, so that no Ctrl-C reaches it, and waits on a
pipe. Each mark says how far it has come; the pipe's end without the last one is the death of whoever attached.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

__all__ = ["Guard"]

BEGUN, ASKED, CLOSED = b"b", b"a", b"c"


class Guard:
    """Calls `close(asked)` in a process of its own, unless told that there is nothing to close any more."""

    def __init__(self, close: Callable[[bool], None]) -> None:
        read, self._write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._write)
            _wait(read, close)
        os.close(read)

    def begun(self) -> None:
        """From now on an inspector may open."""
        self._mark(BEGUN)

    def asked(self) -> None:
        """The service has been told to close it."""
        self._mark(ASKED)

    def closed(self) -> None:
        """There is nothing to close."""
        self._mark(CLOSED)

    def _mark(self, mark: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # somebody has ended the guard: it goes without
            os.write(self._write, mark)

    def leave(self) -> None:
        """Let it go on by itself, or end, if there is nothing for it to do."""
        os.close(self._write)


def _wait(read: int, close: Callable[[bool], None]) -> None:
    """In the child: never returns."""
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        mark = b""
        while told := os.read(read, 1):
            mark = told
        if mark in (BEGUN, ASKED):
            close(mark == ASKED)
    except BaseException:  # noqa: BLE001, S110 - there is nobody to tell, and this process must end here
        pass
    finally:
        os._exit(0)
