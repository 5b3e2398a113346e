"""
What a thread is doing, from the text of /proc/PID/task/TID/syscall: the tables of system calls. Pure.

Only calls that a service is likely to be found waiting in have a row; any other is taken for one that waits for
somebody. Calls on files are told from calls on sockets and pipes by their descriptor, not by their number.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalsd.model import STOPPED, Doing
from vitalsd.syscalls import EPOLL, numbers

__all__ = ["Call", "Calls", "doing", "peer_of"]

Group = Literal["epoll", "lock", "sleep", "file", "path", "fd", "wait"]

TABLE: dict[Group, str] = {
    "epoll": EPOLL,
    "lock": "futex 202 98, futex_waitv 449 449, futex_wait 455 455",
    "sleep": "nanosleep 35 101, clock_nanosleep 230 115, pause 34 -",
    "file": (
        "read 0 63, write 1 64, pread64 17 67, pwrite64 18 68, readv 19 65, writev 20 66, preadv 295 69, "
        "pwritev 296 70, preadv2 327 286, pwritev2 328 287, fsync 74 82, fdatasync 75 83, sync_file_range 277 84, "
        "syncfs 306 267, ftruncate 77 46, fallocate 285 47, getdents 78 -, getdents64 217 61, fstat 5 80, "
        "lseek 8 62, close 3 57, copy_file_range 326 285, sendfile 40 71"
    ),
    "path": (
        "open 2 -, openat 257 56, openat2 437 437, creat 85 -, stat 4 -, lstat 6 -, newfstatat 262 79, "
        "statx 332 291, access 21 -, faccessat 269 48, faccessat2 439 439, unlink 87 -, unlinkat 263 35, "
        "rename 82 -, renameat 264 38, renameat2 316 276, mkdir 83 -, mkdirat 258 34, rmdir 84 -, link 86 -, "
        "linkat 265 37, symlink 88 -, symlinkat 266 36, readlink 89 -, readlinkat 267 78, truncate 76 45, "
        "sync 162 81, statfs 137 43, fstatfs 138 44, chmod 90 -, fchmodat 268 53"
    ),
    "fd": (
        "recvfrom 45 207, recvmsg 47 212, recvmmsg 299 243, sendto 44 206, sendmsg 46 211, sendmmsg 307 269, "
        "connect 42 203, accept 43 202, accept4 288 242, flock 73 32, fcntl 72 25, ioctl 16 29"
    ),
}
"""Name, and number on x86-64 and on aarch64. The first argument of `epoll`, `file` and `fd` is a descriptor."""
DISKS = ("/dev/sd", "/dev/nvme", "/dev/vd", "/dev/xvd", "/dev/dm-", "/dev/mapper/", "/dev/loop", "/dev/mmcblk")


class Call(msgspec.Struct, frozen=True):
    """What the kernel's line says: a call with its group, or what else the thread is at."""

    group: Group | Literal["running", "blocked", "unknown"]
    fd: int | None = None


RUNNING, BLOCKED, UNKNOWN = Call("running"), Call("blocked"), Call("unknown")


class Calls:
    """The system calls of one architecture; of one that is not known, all are `unknown`."""

    def __init__(self, machine: str | None = None) -> None:
        self._groups: dict[bytes, Group] = {}
        for group, rows in TABLE.items():
            self._groups |= dict.fromkeys(numbers(rows, machine), group)
        self.known = bool(self._groups)

    def waiting_in(self, epoll: int) -> tuple[bytes, ...]:
        """What a line begins with when the thread waits in this epoll."""
        return tuple(b"%s %#x " % (number, epoll) for number, group in self._groups.items() if group == "epoll")

    def parse(self, line: bytes) -> Call:
        """What a line of `syscall` says."""
        if line.startswith(b"running"):
            return RUNNING
        number, _, rest = line.partition(b" ")
        if number.startswith(b"-"):
            return BLOCKED
        if not self.known or not number.isdigit():
            return UNKNOWN
        group = self._groups.get(number, "wait")
        if group not in ("epoll", "file", "fd"):
            return Call(group)
        try:
            fd = int(rest.split(None, 1)[0], 16) & 0xFFFFFFFF
        except (IndexError, ValueError):
            return UNKNOWN
        return Call(group, fd if fd < 1 << 31 else None)


def doing(call: Call, state: str | None, own_epoll: int | None, link: str | None, wchan: str | None) -> Doing:
    """
    The word for it. `link` is where the descriptor leads, `wchan` the kernel function that the thread sleeps in.

    A path may be a pipe with a name, which only the kernel function tells without asking a file system that may
    hang.
    """
    if state in STOPPED:
        return "unknown"
    match call.group:
        case "epoll":
            return "loop" if own_epoll is not None and call.fd == own_epoll else "call"
        case "lock":
            return "futex"
        case "file" | "path":
            return "disk" if state == "D" or _is_file(link, wchan) else "call"
        case "fd" | "wait":
            return "call"
        case other:
            return other


def _is_file(link: str | None, wchan: str | None) -> bool:
    if link is None or not link.startswith("/") or "pipe" in (wchan or ""):
        return False
    return link.startswith(DISKS) or not link.startswith("/dev/")


def peer_of(link: str | None) -> str | None:
    """Whom a call waits for, as far as its descriptor tells: `socket`, `pipe`, or a path."""
    if link is None:
        return None
    kind, colon, rest = link.partition(":")
    if link.startswith("/") or not colon:
        return link
    return rest.strip("[]") if kind == "anon_inode" else kind
