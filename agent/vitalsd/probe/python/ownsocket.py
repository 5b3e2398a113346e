"""
A socket of the probe's own, that it lets go of where its number is somebody else's by now.

A service may close all descriptors, daemons do, and open its own under the same numbers. Every use is therefore
preceded by a look at whether the number still is the socket's. Of `_socket`, which gevent does not replace.

An `accept` when nobody calls makes a socket and throws it away: asking whether somebody does is a tenth of that.
"""

from __future__ import annotations

import os
import sys

try:
    import _socket
except ImportError:  # a build of Python without sockets
    _socket = None  # type: ignore[assignment]

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from typing import Any

POLLIN = 1
SHUT_RDWR = 2


class OwnSocket:
    """One end of a UNIX stream; never blocks, is never inherited by a program that is executed."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        else:
            self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, descriptor)
        self._socket.setblocking(False)
        self._stat = os.fstat(self._socket.fileno())
        self._calls: Any = None

    def is_mine(self) -> bool:
        """Whether its descriptor is what it was."""
        try:
            found = os.fstat(self._socket.fileno())
        except OSError:
            return False
        return found.st_ino == self._stat.st_ino and found.st_dev == self._stat.st_dev

    def listen_at(self, address: str) -> None:
        """Take this address, for this user alone."""
        # The kernel gives a socket's file the mode that the socket has; a umask would be the whole process's.
        os.fchmod(self._socket.fileno(), 0o600)
        self._socket.bind(address)
        self._socket.listen(4)
        poll: Any = getattr(sys.modules.get("select"), "poll", None)
        if type(poll).__name__ == "builtin_function_or_method":  # gevent's own would let other greenlets run
            poller: Any = poll()
            poller.register(self._socket.fileno(), POLLIN)
            self._calls = poller.poll

    def called(self) -> bool:
        """Whether somebody may have called; of a number that is somebody else's by now, too."""
        return self._calls is None or bool(self._calls(0))

    @property
    def waits(self) -> bool:
        """Whether `await_call` can."""
        return self._calls is not None

    def await_call(self, seconds: float) -> None:
        """Wait for somebody to call, or for `call_off`."""
        if self._calls is not None:
            self._calls(int(seconds * 1000) + 1)

    def call_off(self) -> None:
        """By any thread: end the wait of whoever awaits a call. Nobody can call any more."""
        if self.is_mine():
            self._socket.shutdown(SHUT_RDWR)

    def accept(self) -> OwnSocket | None:
        """Who has called, if somebody has."""
        try:
            descriptor, _ = self._socket._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return None
        try:
            return OwnSocket(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def peer_uid(self) -> int:
        """The user at the other end, when it called, as this process's namespace has it."""
        credentials = self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[4:8], "little")

    def receive(self, most: int) -> bytes | None:
        """What has come: nothing once the other end has closed, None where there is nothing yet."""
        try:
            return self._socket.recv(most)
        except BlockingIOError:
            return None

    def send(self, data: bytes, descriptor: int | None = None) -> int:
        """How much of it was taken; a descriptor goes with the first byte of that."""
        try:
            if descriptor is not None:
                with_it = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))]
                return self._socket.sendmsg([data], with_it, _socket.MSG_NOSIGNAL)
            return self._socket.send(data, _socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close it, or let go of it."""
        if self.is_mine():
            self._socket.close()
        else:
            self._socket.detach()
