"""What some scenarios need of the kernel: a control group of their own, which limits their processor or memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MemoryGroup", "cgroup_with_memory", "cgroup_with_quota"]

V1 = Path("/sys/fs/cgroup/cpu")
MEMORY_V1 = Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup")
PERIOD_US, QUOTA_US = 100_000, 20_000
JOIN = 'echo 0 > "$0/cgroup.procs" && exec "$@"'
EMPTY_SECONDS = 10.0
"""How long those that are ended may take to leave."""
ACCOUNTS = {
    1: {
        "killed": ("memory.oom_control", "oom_kill"),
        "met": ("memory.failcnt", ""),
        "most": ("memory.max_usage_in_bytes", ""),
        "anonymous": ("memory.stat", "total_rss"),
    },
    2: {
        "killed": ("memory.events", "oom_kill"),
        "met": ("memory.events", "max"),
        "most": ("memory.peak", ""),
        "anonymous": ("memory.stat", "anon"),
    },
}
"""By version: the file, and the row of those that have a number a line."""


@dataclass(frozen=True)
class MemoryGroup:
    """One with a limit of memory, and what the kernel counts of it."""

    folder: Path
    version: int

    def command(self, *command: str) -> list[str]:
        """The command, begun inside."""
        return ["sh", "-c", JOIN, str(self.folder), *command]

    def pids(self) -> list[int]:
        """Who is in it."""
        return [int(each) for each in (self.folder / "cgroup.procs").read_text().split()]

    @property
    def killed(self) -> int:
        """How many processes the kernel has killed for its limit."""
        return self._number("killed")

    @property
    def met(self) -> int:
        """How often the limit was met, whatever the kernel could give back."""
        return self._number("met")

    @property
    def most_bytes(self) -> int | None:
        """The most there was, with pages of files; version 2 tells it from Linux 5.19 on."""
        return self._number("most") if (self.folder / ACCOUNTS[self.version]["most"][0]).exists() else None

    @property
    def anonymous_bytes(self) -> int:
        """What there is now without pages of files."""
        return self._number("anonymous")

    def _number(self, what: str) -> int:
        name, row = ACCOUNTS[self.version][what]
        lines = (line.split() for line in (self.folder / name).read_text().splitlines())
        return int(next(line[-1] for line in lines if not row or line[0] == row))


@contextlib.contextmanager
def cgroup_with_quota() -> Iterator[Path | None]:
    """A new group that may use a fifth of a core; None where none can be made."""
    if (V1 / "cpu.cfs_quota_us").exists() or (V1 / "cgroup.procs").exists():
        limits = {"cpu.cfs_period_us": f"{PERIOD_US}", "cpu.cfs_quota_us": f"{QUOTA_US}"}
        made = _group(V1, limits)
    else:
        made = _group(V2, {"cpu.max": f"{QUOTA_US} {PERIOD_US}"})
    with made as group:
        yield group


@contextlib.contextmanager
def cgroup_with_memory(limit_bytes: int) -> Iterator[MemoryGroup | None]:
    """A new group that may have so much memory; None where none can be made."""
    version = 1 if (MEMORY_V1 / "cgroup.procs").exists() else 2
    if version == 1:
        made = _group(MEMORY_V1, {"memory.limit_in_bytes": f"{limit_bytes}"})
    else:
        made = _group(V2, {"memory.max": f"{limit_bytes}", "memory.swap.max": "0"})
    with made as folder:
        yield MemoryGroup(folder, version) if folder is not None else None


@contextlib.contextmanager
def _group(root: Path, limits: Mapping[str, str]) -> Iterator[Path | None]:
    """One below `root`, whose processes go there when it is taken away."""
    group = root / f"vitalsd-bench-{os.getpid()}"
    try:
        group.mkdir()
        for name, value in limits.items():
            (group / name).write_text(value)
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield None
        return
    try:
        yield group
    finally:
        until = time.monotonic() + EMPTY_SECONDS
        while not _gone(root, group) and time.monotonic() < until:
            time.sleep(0.05)


def _gone(root: Path, group: Path) -> bool:
    """Whether the group is, once all that was in it is sent to the one above."""
    with contextlib.suppress(OSError):
        for pid in (group / "cgroup.procs").read_text().split():
            (root / "cgroup.procs").write_text(pid)
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()
