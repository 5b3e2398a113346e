"""
CPU quotas of a process's control group: how often it was throttled, on cgroup v2 and v1.

Finding the group costs some 100 us once per process; a reading 7 us for the group and as much for each above it,
since a quota of any of them holds the process up. Open to everybody who sees the mount; the group of another
container is reached through /proc/PID/root, which needs ptrace rights.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

__all__ = ["CpuGroup", "Throttling", "find_cpu_group", "most_throttled"]

LEVELS = 6
ESCAPED = re.compile(r"\\([0-7]{3})")
UP_TO_READ = 4096


class Throttling(msgspec.Struct, frozen=True):
    """What a quota has cost a group; a kernel or a group without a quota tells nothing."""

    periods: int
    throttled_periods: int
    throttled_seconds: float


class CpuGroup(msgspec.Struct, frozen=True):
    """Where the CPU accounts of a process's group are, and of those above it."""

    folders: tuple[str, ...]
    """The group itself first."""

    def read(self) -> tuple[Throttling | None, ...]:
        """The accounts of each."""
        return tuple(_throttling(folder + "/cpu.stat") for folder in self.folders)


class _Mount(msgspec.Struct, frozen=True):
    root: str
    point: str
    kind: str
    options: tuple[str, ...]


def find_cpu_group(proc: Path, pid: int) -> CpuGroup | None:
    """The group of a process, as this agent can reach it; None when it cannot."""
    try:
        groups = (proc / str(pid) / "cgroup").read_text(errors="replace")
    except OSError:
        return None
    for who, prefix in (("self", ""), (str(pid), f"{proc}/{pid}/root")):
        try:
            mounts = _mounts((proc / who / "mountinfo").read_text(errors="replace"))
        except OSError:
            continue
        folders = _folders(groups, mounts, prefix)
        if folders:
            return CpuGroup(folders)
    return None


def most_throttled(
    before: tuple[Throttling | None, ...], after: tuple[Throttling | None, ...]
) -> Throttling | None:
    """What has been added between two readings where it was most; None when nobody tells."""
    grown = [
        Throttling(
            max(0, last.periods - first.periods),
            max(0, last.throttled_periods - first.throttled_periods),
            max(0.0, last.throttled_seconds - first.throttled_seconds),
        )
        for first, last in zip(before, after, strict=True)
        if first is not None and last is not None
    ]
    return max(grown, key=lambda one: (one.throttled_seconds, one.throttled_periods, one.periods), default=None)


def _folders(groups: str, mounts: list[_Mount], prefix: str) -> tuple[str, ...]:
    """The group's folder and those above it, version 1 before 2: a controller belongs to one of them only."""
    for kind in ("cgroup", "cgroup2"):
        for line in groups.splitlines():
            _, controllers, path = [*line.split(":", 2), "", ""][:3]
            wanted = controllers == "" if kind == "cgroup2" else "cpu" in controllers.split(",")
            if not wanted:
                continue
            for mount in mounts:
                if mount.kind == kind and (kind == "cgroup2" or "cpu" in mount.options):
                    found = _climb(mount, path, prefix)
                    if found:
                        return found
    return ()


def _climb(mount: _Mount, path: str, prefix: str) -> tuple[str, ...]:
    root = mount.root.rstrip("/")
    if path != root and not path.startswith(root + "/"):
        return ()
    names = [name for name in path[len(root) :].split("/") if name]
    if ".." in names:
        return ()
    top = prefix + mount.point.rstrip("/")
    folders = ["/".join([top, *names[:count]]) for count in range(len(names), -1, -1)]
    found = [folder for folder in folders[:LEVELS] if os.access(folder + "/cpu.stat", os.R_OK)]
    return tuple(found) if found and found[0] == folders[0] else ()


def _mounts(mountinfo: str) -> list[_Mount]:
    found = []
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if dash and len(fields) > 5 and len(kinds) > 2 and kinds[0] in ("cgroup", "cgroup2"):
            root, point = (ESCAPED.sub(lambda code: chr(int(code[1], 8)), text) for text in fields[3:5])
            found.append(_Mount(root, point, kinds[0], tuple(kinds[2].split(","))))
    return found


def _throttling(path: str) -> Throttling | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            lines = os.read(fd, UP_TO_READ).split(b"\n")
        finally:
            os.close(fd)
        known = {name: int(number) for name, _, number in (line.partition(b" ") for line in lines) if number}
    except (OSError, ValueError):
        return None
    if b"nr_periods" not in known or b"nr_throttled" not in known:
        return None
    seconds = (
        known[b"throttled_time"] / 1e9 if b"throttled_time" in known else known.get(b"throttled_usec", 0) / 1e6
    )
    return Throttling(known[b"nr_periods"], known[b"nr_throttled"], seconds)
