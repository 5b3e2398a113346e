"""What some scenarios need from the kernel: a cgroup of their own, with a quota of processor time or of memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["cgroup_with_memory", "cgroup_with_quota"]

V1 = Path("/sys/fs/cgroup/cpu")
MEMORY_V1 = Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup")
PERIOD_US, QUOTA_US = 100_000, 20_000


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
def cgroup_with_memory(limit_bytes: int) -> Iterator[Path | None]:
    """A new group that may have so much memory; None where none can be made."""
    if (MEMORY_V1 / "cgroup.procs").exists():
        made = _group(MEMORY_V1, {"memory.limit_in_bytes": f"{limit_bytes}"})
    else:
        made = _group(V2, {"memory.max": f"{limit_bytes}", "memory.swap.max": "0"})
    with made as group:
        yield group


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
        with contextlib.suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                (root / "cgroup.procs").write_text(pid)
        with contextlib.suppress(OSError):
            group.rmdir()
