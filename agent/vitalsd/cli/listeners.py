"""
Who listens on a port of this machine, from /proc/net/tcp: the kernel's word, and not that of who answers.

The tables are open to everybody, and so is the uid in them. Which process it is can be seen of one's own, and of
everybody's by root; that costs a look at every descriptor of the host, so it is for errors alone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

__all__ = ["listener_pid", "listeners", "listens"]

LISTENING = "0A"
"""A state of a socket in /proc/net/tcp."""


def listeners(host: str, port: int, proc: Path = Path("/proc")) -> set[int]:
    """The uids of those that listen for `host` and `port` on this machine, as far as is known."""
    return {int(fields[7]) for fields in _listening(host, port, proc)}


def listener_pid(host: str, port: int, proc: Path = Path("/proc")) -> int | None:
    """The process that listens for `host` and `port`; None where that is not to be seen."""
    sockets = _sockets(host, port, proc)
    folders = proc.glob("[0-9]*/fd") if sockets else ()
    return next((int(folder.parent.name) for folder in folders if _has(folder, sockets)), None)


def listens(pid: int, host: str, port: int, proc: Path = Path("/proc")) -> bool:
    """Whether it is seen that this process listens for `host` and `port`."""
    return _has(proc / str(pid) / "fd", _sockets(host, port, proc))


def _sockets(host: str, port: int, proc: Path) -> set[str]:
    """As the links of descriptors call them."""
    return {f"socket:[{fields[9]}]" for fields in _listening(host, port, proc)}


def _has(folder: Path, sockets: set[str]) -> bool:
    """Whether one of these is among the descriptors of a process."""
    with contextlib.suppress(OSError):  # gone, or another user's
        for descriptor in folder.iterdir() if sockets else ():
            with contextlib.suppress(OSError):  # closed in this moment
                if os.readlink(descriptor) in sockets:  # noqa: PTH115 - a text, and no path
                    return True
    return False


def _listening(host: str, port: int, proc: Path) -> Iterator[list[str]]:
    wanted = _spellings(host, port)
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue  # not known
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[1] in wanted and fields[3] == LISTENING:
                yield fields


def _spellings(host: str, port: int) -> set[str]:
    """How the kernel writes the addresses whose listener hears this one, every interface among them."""
    plain = host.partition("%")[0].removeprefix("::ffff:")
    if ":" in plain:
        packed = [socket.inet_pton(socket.AF_INET6, plain), bytes(16)]
    else:
        v4 = socket.inet_pton(socket.AF_INET, plain)
        packed = [v4, bytes(4), bytes(16), bytes(10) + b"\xff\xff" + v4]
    words = (struct.unpack(f"={len(each) // 4}I", each) for each in packed)
    return {"".join(f"{word:08X}" for word in each) + f":{port:04X}" for each in words}
