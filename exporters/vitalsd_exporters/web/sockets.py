"""
Addresses to listen on, taken before anything else starts.

A port that is taken is then one sentence at the start, and not a traceback out of a running daemon. Costs one
or two sockets per listener.
"""

from __future__ import annotations

import errno
import socket

from vitalsd.errors import UsageError
from vitalsd.settings.types import split_listen

__all__ = ["BACKLOG", "PortTakenError", "bind"]

BACKLOG = 512
BUFFER_BYTES = 64 * 1024
"""Of the kernel, in each direction of a connection, which it doubles. By itself it would give one that is not read
some megabytes, from the memory of the agent's control group."""
MISSING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
ADVICE = {
    errno.EADDRINUSE: "the port is already in use: stop what uses it, or choose another with `{key}`",
    errno.EACCES: "ports below 1024 need a privilege: choose a higher one with `{key}`",
    errno.EADDRNOTAVAIL: "this host has no such address: correct `{key}`",
}


class PortTakenError(UsageError):
    """Somebody else listens where we are to: it may be over in a moment, or never."""

    def __init__(self, sentence: str, listen: str) -> None:
        super().__init__(sentence)
        self.listen = listen


def bind(listen: str, key: str) -> list[socket.socket]:
    """
    Listening sockets for every address that `listen` means: a name such as localhost may mean two.

    `key` is the setting that `listen` comes from, which an error tells to change.
    """
    host, port = split_listen(listen)
    bound: list[socket.socket] = []
    failure: OSError | None = None
    for family, name in _places(host, listen, key):
        dualstack = name == "::" and socket.has_dualstack_ipv6()
        # With port 0 the kernel chooses one for the first address; the others follow it.
        address = (name, bound[0].getsockname()[1] if bound else port)
        try:
            bound.append(socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=dualstack))
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):  # those that are accepted have them too
                bound[-1].setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        except OSError as error:
            failure = error
            if error.errno not in MISSING:
                break
    # One of localhost's two addresses may be missing; a port that is taken on either is a mistake.
    if failure is not None and (not bound or failure.errno not in MISSING):
        for taken in bound:
            taken.close()
        advice = ADVICE.get(failure.errno or 0, "{why}: change `{key}`")
        why = advice.format(key=key, why=failure.strerror)
        sentence = f"Cannot listen on {listen}: {why}."
        if failure.errno == errno.EADDRINUSE:
            raise PortTakenError(sentence, listen) from failure
        raise UsageError(sentence) from failure
    return bound


def _places(host: str, listen: str, key: str) -> list[tuple[int, str]]:
    if host == "":
        # All of both families by one socket, or all of IPv4 where the kernel has no IPv6.
        both = socket.has_dualstack_ipv6()
        return [(socket.AF_INET6, "::") if both else (socket.AF_INET, "0.0.0.0")]  # noqa: S104 - asked for
    plain = host.encode() if host.isascii() else host  # the tables of other scripts are half a MiB
    try:
        infos = socket.getaddrinfo(plain, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"Cannot listen on {listen}: no such host; correct `{key}`.") from error
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in infos))
