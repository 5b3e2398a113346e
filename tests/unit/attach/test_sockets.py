"""Sockets as the kernel tells of them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from vitalsd.attach.sockets import Address, descriptors, listening, other_end

OWN = Path(f"/proc/{os.getpid()}")


def test_who_listens_and_who_is_connected() -> None:
    """A listener of this process by its inode, and the server's end of a connection to it, in both families."""
    for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
        try:
            server = socket.create_server((host, 0), family=family)
        except OSError:
            continue  # a machine without IPv6
        with server, socket.create_connection(server.getsockname()[:2]) as client:
            accepted, _ = server.accept()
            with accepted:
                held, address = descriptors(OWN), Address(*server.getsockname()[:2])
                inode = next(inode for inode, descriptor in held.items() if descriptor == server.fileno())
                assert listening()[inode] == address
                found = other_end(address, Address(*client.getsockname()[:2]))
                assert found is not None
                assert held[found] == accepted.fileno()


def test_how_an_address_is_shown() -> None:
    """As in a URL."""
    assert (str(Address("127.0.0.1", 1)), str(Address("::1", 1))) == ("127.0.0.1:1", "[::1]:1")
