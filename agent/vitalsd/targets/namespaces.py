"""
Numbers in a process's own pid namespace, by which its memory, its probe and py-spy name it and its threads.

One short read of `/proc/PID/status` or of a thread's; open to everybody who sees the process.
"""

from __future__ import annotations

import re

__all__ = ["own_number"]

OWN = re.compile(rb"^NSpid:[^\n]*?(?<!\d)(\d{1,10})[ \t]*$", re.MULTILINE)
UP_TO_READ = 4096


def own_number(status: str) -> int | None:
    """The number that whoever has this status file has in its own namespace; None when that cannot be read."""
    try:
        with open(status, "rb", buffering=0) as file:  # noqa: PTH123 - of up to 256 threads, and a string is there
            found = OWN.search(file.read(UP_TO_READ))
    except OSError:
        return None
    return int(found[1]) if found is not None else None
