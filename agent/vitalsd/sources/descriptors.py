"""
What a process has open, by kind: on demand, as evidence of descriptors that pile up.

3 us for each descriptor that is looked at, and 3 us more for a socket; of very many, evenly spread ones are looked
at. Where there are TCP sockets, the tables of the process's network namespace are read until their states are
found, 2 us a row, 60 ms at the most for each of IPv4 and IPv6. Paths are not kept: they may name customers. Needs
that user or CAP_SYS_PTRACE.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vitalsd.sources.permission import unreadable

__all__ = ["UNSEEN", "count_descriptors", "descriptor_kinds"]

UNSEEN = "not looked at"
"""Of more than `limit` descriptors, those that were left out."""
STATES = {
    b"01": "established",
    b"02": "syn_sent",
    b"03": "syn_recv",
    b"04": "fin_wait1",
    b"05": "fin_wait2",
    b"06": "time_wait",
    b"07": "close",
    b"08": "close_wait",
    b"09": "last_ack",
    b"0A": "listen",
    b"0B": "closing",
}
TABLE_BYTES = 4 << 20
"""Of each table of sockets: some 28,000 rows, whoever has more."""
PIECE_BYTES = 65_536
FD_SIZE = re.compile(rb"^FDSize:[ \t]*(\d{1,10})$", re.MULTILINE)
UP_TO_READ = 4096


def count_descriptors(process: str) -> int:
    """How many the process at `/proc/PID` has open: 3 us since Linux 6.2, and some more for each before."""
    size = os.stat(process + "/fd").st_size  # noqa: PTH116 - the number, since Linux 6.2, for everybody
    if size:
        return size
    with os.scandir(process + "/fd") as entries:
        return sum(1 for _ in entries)


def descriptor_kinds(proc: Path, pid: int, limit: int = 512) -> dict[str, int]:
    """Kind -> how many, most first; a PermissionError says in a sentence whose right lacks."""
    process = f"{proc}/{pid}"
    try:
        total = count_descriptors(process)
        kinds: Counter[str] = Counter()
        sockets: dict[str, list[bytes]] = {}
        for number in _numbers(process, total, limit):
            kind, inode = _kind(process, number)
            if kind in ("tcp", "tcp6") and inode is not None:
                sockets.setdefault(kind, []).append(inode)
            elif kind is not None:
                kinds[kind] += 1
    except PermissionError:
        raise PermissionError(unreadable(process, "fd")) from None
    for kind, inodes in sockets.items():
        states = _states(f"{process}/net/{kind}", set(inodes))
        kinds.update(f"{kind} {states[inode]}" if inode in states else kind for inode in inodes)
    unseen = total - kinds.total()
    if total > limit and unseen > 0:
        kinds[UNSEEN] = unseen
    return dict(kinds.most_common())


def _numbers(process: str, total: int, limit: int) -> Iterator[str]:
    """All of them or, of too many, places spread over the table, of which some are empty."""
    if total <= limit:
        yield from os.listdir(process + "/fd")  # noqa: PTH208 - a Path each would cost more than the reading
        return
    with open(process + "/status", "rb", buffering=0) as file:  # noqa: PTH123 - as above
        found = FD_SIZE.search(file.read(UP_TO_READ))
    places = max(int(found[1]) if found is not None else 0, total)
    for turn in range(limit):
        yield str(turn * places // limit)


def _kind(process: str, number: str) -> tuple[str | None, bytes | None]:
    """The kind of one descriptor, and the inode of a socket; nothing where it has been closed."""
    path = f"{process}/fd/{number}"
    try:
        link = os.readlink(path)  # noqa: PTH115 - as above
    except FileNotFoundError:
        return None, None
    name, colon, rest = link.partition(":")
    if link.startswith("/"):
        return _file_kind(link), None
    if name == "socket":
        return _family(path), rest.strip("[]").encode()
    if name == "anon_inode":
        plain = rest.strip("[]")
        return {"eventpoll": "epoll"}.get(plain, plain), None
    if colon and name not in ("pipe", "pidfd"):
        return "namespace", None
    return name, None


def _file_kind(path: str) -> str:
    if path.startswith("/memfd:"):
        return "memfd"
    if path.endswith(" (deleted)"):
        return "deleted file"
    return "device" if path.startswith("/dev/") and not path.startswith("/dev/shm/") else "file"  # noqa: S108 - told apart, not written


def _family(path: str) -> str:
    """The protocol of a socket, as the kernel names it: `tcp`, `tcp6`, `udp`, `unix`, `netlink`."""
    try:
        name = os.getxattr(path, "system.sockprotoname").rstrip(b"\0").decode().lower()
    except OSError:
        return "socket"
    return "unix" if name.startswith("unix") else name.replace("v6", "6")


def _states(table: str, wanted: set[bytes]) -> dict[bytes, str]:
    """Inode -> state of those sockets, as far as the table is read."""
    states: dict[bytes, str] = {}
    read = 0
    try:
        with open(table, "rb", buffering=PIECE_BYTES) as rows:  # noqa: PTH123 - as above
            for row in rows:
                fields = row.split(None, 10)
                if len(fields) > 9 and fields[9] in wanted:
                    states[fields[9]] = STATES.get(fields[3], "unknown")
                read += len(row)
                if len(states) == len(wanted) or read >= TABLE_BYTES:
                    break
    except OSError:
        pass
    return states
