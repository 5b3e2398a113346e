"""What kind of file system a path is on, by the mounts of a process."""

from __future__ import annotations

from pathlib import Path

__all__ = ["OF_THE_KERNEL", "filesystem_of"]

OF_THE_KERNEL = frozenset(
    [
        "proc",
        "sysfs",
        "cgroup",
        "cgroup2",
        "debugfs",
        "tracefs",
        "securityfs",
        "configfs",
        "bpf",
        "devpts",
        "mqueue",
    ]
)
"""They show what the kernel knows: nobody puts files of their own there, root neither."""


def filesystem_of(path: Path, mounts: Path) -> str | None:
    """Of the mount that is nearest above the path; `mounts` is the mountinfo of whose mounts these are."""
    try:
        lines = mounts.read_text(errors="replace").split("\n")
    except OSError:
        return None
    best, kind = "", None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if len(fields) < 5:
            continue
        point = fields[4]
        inside = str(path) == point or str(path).startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, kinds[0]
    return kind
