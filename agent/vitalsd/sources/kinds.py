"""
What the descriptors and threads of a process are, counted: read when somebody asks what grows, never in a round.

A descriptor costs one readlink, 3 us, and at most MOST are looked at, so 30 ms in the worst case; sockets are told
apart by family and state from `/proc/PID/net`, read once. `/proc/PID/fd` needs the rights of ptrace, the names of
threads nothing.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

__all__ = ["descriptor_kinds", "thread_names"]

MOST = 10_000
NET = {"tcp": "tcp", "tcp6": "tcp", "udp": "udp", "udp6": "udp"}
TCP_STATES = {
    "01": "established",
    "02": "connecting",
    "03": "accepting",
    "04": "closing",
    "05": "closing",
    "06": "closing",
    "07": "closed",
    "08": "close_wait",
    "09": "closing",
    "0A": "listening",
}
"""`close_wait` is the leak: the peer has gone, and the service has not noticed."""
NUMBER = re.compile(r"[-_ ]?\d+(?=$|[^0-9A-Za-z])")
UP_TO_BYTES = 4 << 20


def descriptor_kinds(proc: Path, pid: int) -> dict[str, int]:
    """Kind -> how many descriptors of the process are of it; OSError where they may not be read."""
    folder = f"{proc}/{pid}/fd"
    counts: Counter[str] = Counter()
    sockets: list[str] = []
    for name in os.listdir(folder)[:MOST]:  # noqa: PTH208 - the names are all that is wanted
        try:
            link = os.readlink(f"{folder}/{name}")  # noqa: PTH115 - text in, text out
        except OSError:
            continue  # closed meanwhile
        if link.startswith("socket:["):
            sockets.append(link[8:-1])
        else:
            counts[_kind(link)] += 1
    states = _sockets(f"{proc}/{pid}/net") if sockets else {}
    counts.update(states.get(inode, "socket") for inode in sockets)
    return dict(counts)


def thread_names(proc: Path, pid: int) -> dict[str, int]:
    """Name without its number -> how many threads of the process have it, as the kernel has it: 15 letters."""
    folder = f"{proc}/{pid}/task"
    counts: Counter[str] = Counter()
    for name in os.listdir(folder)[:MOST]:  # noqa: PTH208 - as above
        try:
            with open(f"{folder}/{name}/comm", "rb") as file:  # noqa: PTH123 - as above
                comm = file.read(64).decode("utf-8", "replace").strip()
        except OSError:
            continue  # ended meanwhile
        counts[NUMBER.sub("", comm) or comm or "?"] += 1
    return dict(counts)


def _kind(link: str) -> str:
    """`pipe`, `eventpoll`; a file by its folder, without what changes from one to the next."""
    if link.startswith("anon_inode:"):
        return link.removeprefix("anon_inode:").strip("[]")
    if not link.startswith("/"):
        return link.partition(":")[0]
    if link.endswith(" (deleted)"):
        return "deleted file"
    if link.startswith("/dev/") and not link.startswith("/dev/shm/"):  # noqa: S108 - memory, and its files are files
        return link
    return "file in " + (NUMBER.sub("", link.rpartition("/")[0]) or "/")


def _sockets(net: str) -> dict[str, str]:
    """Inode -> family and state, of the sockets in the network namespace of the process."""
    states: dict[str, str] = {}
    for table, family in NET.items():
        for line in _lines(f"{net}/{table}"):
            fields = line.split()
            if len(fields) > 9:
                state = TCP_STATES.get(fields[3], "other") if family == "tcp" else ""
                states[fields[9]] = f"{family} {state}".strip()
    for line in _lines(f"{net}/unix"):
        fields = line.split()
        if len(fields) > 6:
            states[fields[6]] = "unix socket"
    return states


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return file.read(UP_TO_BYTES).decode("ascii", "replace").splitlines()[1:]
    except OSError:
        return []
