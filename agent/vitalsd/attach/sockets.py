"""
TCP sockets: who listens in our network namespace, and which sockets are a process's.

The first is asked of the kernel by netlink (sock_diag, open to everybody), 0.1 ms, where `/proc/net/tcp` takes
7 ms of walking through every connection of the host; the second is read of `/proc/PID/fd`, with the right to read
the process.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec

__all__ = ["Address", "descriptors", "listening", "other_end"]

NETLINK_SOCK_DIAG = 4
BY_FAMILY, ERROR, DONE = 20, 2, 3
REQUEST, DUMP = 0x01, 0x300
ESTABLISHED, LISTENING = 1, 10
HEADER = struct.Struct("=IHHII")
ASKED = struct.Struct("=BBBxI2s2s16s16sIII")
"""Family, protocol, extensions, states; then the ports in network order, the addresses, interface and cookie."""
TOLD = struct.Struct("=BBBB2s2s16s16s3I5I")
NO_COOKIE = 0xFFFFFFFF
BYTES = {socket.AF_INET: 4, socket.AF_INET6: 16}
NO_PORT, NO_HOST = bytes(2), bytes(16)
MOST_BYTES = 65536
OF_SOCKET = re.compile(r"socket:\[(\d+)\]")


class Address(msgspec.Struct, frozen=True):
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listening() -> dict[int, Address]:
    """Who listens in our network namespace, by inode; OSError where the kernel has no sock_diag."""
    found: dict[int, Address] = {}
    for family in BYTES:
        asked = ASKED.pack(
            family,
            socket.IPPROTO_TCP,
            0,
            1 << LISTENING,
            NO_PORT,
            NO_PORT,
            NO_HOST,
            NO_HOST,
            0,
            NO_COOKIE,
            NO_COOKIE,
        )
        found |= {inode: address for _, address, inode in _ask(asked, REQUEST | DUMP)}
    return found


def other_end(server: Address, client: Address) -> int | None:
    """The inode of the server's end of a connection on this machine; None where there is none."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    ports = (each.port.to_bytes(2, "big") for each in (server, client))
    hosts = (ipaddress.ip_address(each.host).packed.ljust(16, b"\0") for each in (server, client))
    asked = ASKED.pack(family, socket.IPPROTO_TCP, 0, 0, *ports, *hosts, 0, NO_COOKIE, NO_COOKIE)
    return next((inode for state, _, inode in _ask(asked, REQUEST) if state == ESTABLISHED), None)


def _ask(asked: bytes, flags: int) -> Iterator[tuple[int, Address, int]]:
    """State, local address and inode of each socket that the kernel tells of."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(2.0)
        kernel.send(HEADER.pack(HEADER.size + len(asked), BY_FAMILY, flags, 1, 0) + asked)
        while True:
            message, at = kernel.recv(MOST_BYTES), 0
            while at < len(message):
                size, kind, *_ = HEADER.unpack_from(message, at)
                body = message[at + HEADER.size : at + size]
                if kind == DONE:
                    return
                if kind == ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    raise OSError(number, f"sock_diag: {os.strerror(number)}")
                yield _told(body)
                at += (size + 3) & ~3
            if not flags & DUMP:
                return


def _told(body: bytes) -> tuple[int, Address, int]:
    family, state, _, _, port, _, host, *rest = TOLD.unpack_from(body)
    address = Address(str(ipaddress.ip_address(host[: BYTES[family]])), int.from_bytes(port, "big"))
    return state, address, rest[-1]


def descriptors(process: Path) -> dict[int, int]:
    """The descriptor of each socket that a process has, by inode; PermissionError where that may not be seen."""
    found = {}
    for name in os.listdir(process / "fd"):  # noqa: PTH208 - the names are enough
        try:
            link = os.readlink(f"{process}/fd/{name}")  # noqa: PTH115 - a text, and no path
        except FileNotFoundError:
            continue
        own = OF_SOCKET.fullmatch(link)
        if own is not None:
            found[int(own[1])] = int(name)
    return found
