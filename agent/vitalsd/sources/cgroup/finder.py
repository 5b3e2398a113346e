"""
Which control group a process is in, for one controller, and where the files of it and of those above it are.

Costs some 100 us: the process's own list of groups, and what is mounted where. Both are open to everybody who sees
the process; the group of another container is reached through /proc/PID/root, which needs ptrace rights.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

import msgspec

from vitalsd.sources.permission import unreadable

__all__ = ["Controller", "Group", "Level", "UnseenGroupError", "find_group"]

LEVELS = 16
"""Of nested groups; Kubernetes within a container has eight."""
ESCAPED = re.compile(r"\\([0-7]{3})")


class UnseenGroupError(Exception):
    """There is a group, and this agent cannot reach it; the sentence says what is in the way."""


class Controller(msgspec.Struct, frozen=True):
    """What is looked for."""

    name: str
    accounts_v1: str
    """A file that every group of version 1 has that keeps such accounts."""
    accounts_v2: str


class Level(msgspec.Struct, frozen=True):
    """One group on the way from a process's own to the top."""

    name: str
    """Its path as the agent's own namespace has it: the same for everybody in it."""
    folder: str
    """Where its files are; through /proc/PID/root it is another one for each process."""


class Group(msgspec.Struct, frozen=True):
    """Where the accounts of a process are, and those of everybody it shares a limit with."""

    version: Literal[1, 2]
    levels: tuple[Level, ...]
    """The group that accounts for the process first, then those above it, as far as this agent sees them."""


class _Mount(msgspec.Struct, frozen=True):
    root: str
    point: str
    version: Literal[1, 2]
    options: tuple[str, ...]


def find_group(proc: Path, pid: int, controller: Controller, groups: str | None = None) -> Group | None:
    """
    The group of a process; None when no group accounts for it, which is so in the root of version 2.

    `groups` is what /proc/PID/cgroup says, where that has been read. A process that is gone has no such file.
    """
    process = f"{proc}/{pid}"
    listed = groups if groups is not None else Path(process, "cgroup").read_text(errors="replace")
    version, path = _place(listed, controller)
    if version is None:
        return None
    file = controller.accounts_v2 if version == 2 else controller.accounts_v1
    for who, prefix in (("self", ""), (str(pid), process + "/root")):
        for mount in _mounts(proc / who / "mountinfo"):
            if mount.version == version and (version == 2 or controller.name in mount.options):
                levels = _climb(mount, path, prefix)
                if levels:
                    found = tuple(level for level in levels if os.access(f"{level.folder}/{file}", os.R_OK))
                    return Group(version, found) if found else None
    raise UnseenGroupError(_why(process, controller))


def _place(groups: str, controller: Controller) -> tuple[Literal[1, 2] | None, str]:
    """Version and path; a controller that version 1 has is none of version 2."""
    unified = None
    for line in groups.split("\n"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller.name in controllers.split(","):
            return 1, path
        if controllers == "" and path:
            unified = path
    return (2, unified) if unified is not None else (None, "")


def _climb(mount: _Mount, path: str, prefix: str) -> list[Level]:
    """The group of this path and those above it, up to the root of the mount; nothing where it is not there."""
    root = mount.root.rstrip("/")
    if path != root and not path.startswith(root + "/"):
        return []
    names = [name for name in path[len(root) :].split("/") if name]
    if ".." in names:
        return []
    top = prefix + mount.point.rstrip("/")
    levels = [
        Level("/".join([root, *names[:count]]) or "/", "/".join([top, *names[:count]]))
        for count in range(len(names), -1, -1)
    ][:LEVELS]
    return levels if os.path.isdir(levels[0].folder) else []  # noqa: PTH112 - text in


def _mounts(mountinfo: Path) -> list[_Mount]:
    try:
        text = mountinfo.read_text(errors="replace")
    except OSError:
        return []
    found = []
    for line in text.split("\n"):
        before, dash, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if dash and len(fields) > 5 and len(kinds) > 2 and kinds[0] in ("cgroup", "cgroup2"):
            root, point = (ESCAPED.sub(lambda code: chr(int(code[1], 8)), text) for text in fields[3:5])
            found.append(_Mount(root, point, 2 if kinds[0] == "cgroup2" else 1, tuple(kinds[2].split(","))))
    return found


def _why(process: str, controller: Controller) -> str:
    """What keeps this agent from a group that is there."""
    try:
        os.readlink(process + "/root")  # noqa: PTH115 - text in
    except PermissionError:
        return f"its control group is not mounted here, and {unreadable(process, 'root')}"
    except OSError:
        pass  # a process of a kernel without it, or one that has just ended
    return (
        f"its control group for {controller.name} is mounted neither here nor where the process runs: mount "
        "/sys/fs/cgroup there, or give the agent the one of the host together with its cgroup namespace"
    )
