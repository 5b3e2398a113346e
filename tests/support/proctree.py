"""
A small /proc in a temporary folder: the files that finder and sources read, with the numbers a test wants.

One process costs five small files. What the kernel would keep true by itself (states, counts) is up to the test.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PF_FORKNOEXEC = 0x40
"""Forked, and nothing executed since."""
BOOTED_AT = 1_700_000_000
LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max open files            {}                 {}                 files
Max processes             127235               127235               processes
"""


class ProcTree:
    """Processes by pid, below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        (root / "stat").write_text(f"cpu  1 2 3 4\nintr 5\nbtime {BOOTED_AT}\nprocesses 9\n")
        (root / "self").mkdir()
        (root / "sys").mkdir()

    def add(
        self,
        pid: int,
        command: str | Sequence[str] = "python app.py",
        *,
        parent: int = 1,
        start: int = 1000,
        state: str = "S",
        name: str = "python",
        forked: bool = False,
        user_ticks: int = 0,
        system_ticks: int = 0,
        threads: int = 1,
        status: str = "",
        fds: int = 3,
        max_fds: str = "1024",
    ) -> None:
        """Add a process, or put another in its place."""
        self.remove(pid)
        folder = self.root / str(pid)
        (folder / "fd").mkdir(parents=True)
        for number in range(fds):
            (folder / "fd" / str(number)).symlink_to("/dev/null")
        flags = PF_FORKNOEXEC if forked else 0
        after_name = [state, parent, pid, pid, 0, -1, flags, *[0] * 4, user_ticks, system_ticks]
        after_name += [0, 0, 20, 0, threads, 0, start]
        (folder / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, after_name))} {' 0' * 30}\n")
        (folder / "status").write_text(f"Name:\t{name}\n{status}")
        words = command.split() if isinstance(command, str) else command
        (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        (folder / "limits").write_text(LIMITS.format(max_fds, max_fds))

    def remove(self, pid: int) -> None:
        """End a process; one that is not there has ended already."""
        shutil.rmtree(self.root / str(pid), ignore_errors=True)

    def rename(self, pid: int, command: str) -> None:
        """Have a process execute something else, or rewrite its own command line."""
        (self.root / str(pid) / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
