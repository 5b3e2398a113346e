"""
Processor time of a process and of each of its threads, as the kernel counts it: what a profile is checked against.

A short read for each thread, 10 us, of at most MOST_THREADS; open to everybody who sees the process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from vitalsd.targets.namespaces import own_number
from vitalsd.ticks import TICKS

__all__ = ["ThreadTimes", "read_thread_times", "together"]

MOST_THREADS = 300


class ThreadTimes(msgspec.Struct, frozen=True):
    """Up to one moment, or between two."""

    process_seconds: float
    thread_count: int
    threads: dict[str, float]
    """By the number in the service's own pid namespace, as py-spy and the probe tell it; not of all where many."""

    def since(self, before: ThreadTimes) -> ThreadTimes:
        """What was used since then."""
        threads = {number: spent - before.threads.get(number, 0.0) for number, spent in self.threads.items()}
        return ThreadTimes(self.process_seconds - before.process_seconds, self.thread_count, threads)


def together(parts: Sequence[ThreadTimes]) -> ThreadTimes:
    """What was used in several stretches of time, of the threads that there were in the last."""
    last = parts[-1]
    threads = {number: sum(part.threads.get(number, 0.0) for part in parts) for number in last.threads}
    return ThreadTimes(sum(part.process_seconds for part in parts), last.thread_count, threads)


def read_thread_times(pid: int, proc: Path = Path("/proc")) -> ThreadTimes | None:
    """What is so now; None where the process has gone."""
    process = f"{proc}/{pid}"
    try:
        tasks = os.listdir(f"{process}/task")  # noqa: PTH208 - their names are all that is wanted
        total = _seconds(f"{process}/stat")
    except (OSError, ValueError, IndexError):
        return None
    elsewhere = own_number(f"{process}/status") not in (None, pid)
    threads: dict[str, float] = {}
    for task in tasks[:MOST_THREADS]:
        try:
            number = own_number(f"{process}/task/{task}/status") if elsewhere else int(task)
            threads[str(number)] = _seconds(f"{process}/task/{task}/stat")
        except (OSError, ValueError, IndexError):
            continue  # it has ended
    return ThreadTimes(total, len(tasks), threads)


def _seconds(stat: str) -> float:
    with open(stat, "rb", buffering=0) as file:  # noqa: PTH123 - of hundreds, and a string is there
        fields = file.read(1024).rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
