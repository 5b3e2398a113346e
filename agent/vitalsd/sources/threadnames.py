"""
The threads of a process by the names they go by: on demand, as evidence of threads that pile up.

6 us for each thread that is looked at; of very many, evenly spread ones are. Open to everybody. The kernel keeps
15 bytes of a name, and Python gives it any from 3.14 on: before, each thread is called as its process is, unless a
library has named it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from itertools import islice
from pathlib import Path

__all__ = ["UNSEEN", "thread_group", "thread_names"]

UNSEEN = "not looked at"
"""Of more than `limit` threads, those that were left out."""
MOST_LISTED = 8192
OF_PYTHON = re.compile(r"(Thread)-\d+ ?(.*)")
"""`Thread-12 (worker)`, cut anywhere behind the number."""
NUMBER = re.compile(r"(?:[-_:#/ ]+|(?<![\d.]))\d+$")
"""The last one, unless it belongs to a version: `python3.12`."""


def thread_group(name: str) -> str:
    """What threads that do the same are called: `ThreadPoolExecutor-3_7` is one of `ThreadPoolExecutor-3`."""
    own = OF_PYTHON.fullmatch(name)
    if own is not None:
        return " ".join(part for part in own.groups() if part)
    return NUMBER.sub("", name, count=1) or name


def thread_names(proc: Path, pid: int, limit: int = 256) -> dict[str, int]:
    """Group of names -> how many threads, most first; a process that is gone has none."""
    folder = f"{proc}/{pid}/task"
    groups: Counter[str] = Counter()
    try:
        with os.scandir(folder) as entries:
            listed = [entry.name for entry in islice(entries, MOST_LISTED)]
        total = max(len(listed), os.stat(folder).st_nlink - 2)  # noqa: PTH116 - a folder for each thread
    except (FileNotFoundError, ProcessLookupError):
        return {}
    looked_at = listed if len(listed) <= limit else [listed[n * len(listed) // limit] for n in range(limit)]
    for thread in looked_at:
        try:
            with open(f"{folder}/{thread}/comm", "rb", buffering=0) as file:  # noqa: PTH123 - up to 256 of them
                name = file.read(64).decode(errors="replace").rstrip("\n")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        groups[thread_group(name)] += 1
    if total > len(looked_at):
        groups[UNSEEN] = total - len(looked_at)
    return dict(groups.most_common())
