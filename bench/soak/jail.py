"""
A memory control group of version 1 for one process and all that it starts: its limit, and what the kernel counts.

Made below the group of the bench itself, which takes the right to write there: root's, where the memory controller
is of version 1 and not mounted read-only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.harness import wait_for
from vitalsd.sources.cgroup.memory import find_memory_group

__all__ = ["Jail", "jail"]

JOIN = 'echo 0 > "$0/cgroup.procs" && exec "$@"'


@dataclass(frozen=True)
class Jail:
    """The group."""

    folder: Path

    def command(self, *command: str) -> list[str]:
        """The command, begun inside."""
        return ["sh", "-c", JOIN, str(self.folder), *command]

    def pids(self) -> list[int]:
        """Who is in it."""
        return [int(each) for each in (self.folder / "cgroup.procs").read_text().split()]

    def number(self, name: str) -> int:
        """Of a file that holds one, such as `memory.failcnt`."""
        return int((self.folder / name).read_text())

    def row(self, name: str, key: str) -> int:
        """Of a file with a number a line, such as `memory.stat`."""
        rows = (line.split() for line in (self.folder / name).read_text().splitlines())
        return int(next(row[1] for row in rows if row[0] == key))


@contextlib.contextmanager
def jail(name: str, limit_bytes: int) -> Iterator[Jail | str]:
    """Make one; a sentence where that cannot be done. It has to be empty in the end."""
    group = find_memory_group(Path("/proc"), os.getpid())
    if group is None or group.version != 1:
        yield "the memory controller of this host is not of version 1"
        return
    folder = Path(group.levels[0].folder) / name
    try:
        folder.mkdir()
    except OSError as error:
        yield f"no memory control group can be made below {folder.parent}: {error.strerror}"
        return
    try:
        (folder / "memory.limit_in_bytes").write_text(str(limit_bytes))
        yield Jail(folder)
    finally:
        wait_for(lambda: not Jail(folder).pids(), "the group to be empty")
        folder.rmdir()
