"""Evidence in plain words: the pieces that reasons and summaries are made of."""

from __future__ import annotations

import re

from vitalsd.model import Cause, Frame

__all__ = ["ADVICE", "advice", "by_cause", "duration", "name", "of", "percent", "place", "short", "times"]

LONGEST_NAME = 80
LONGEST_FILE = 100
PACKAGE = re.compile(r"/(?:node_modules|(?:site|dist)-packages)/")
LONGEST_SECONDS = 1e9
"""What no process has lived for, nor infinity."""

_BY_CAUSE: dict[Cause, str] = {
    "blocking_cpu": "by computation",
    "blocking_call": "by a blocking call",
    "disk_io": "by reading or writing files",
    "gc_pause": "by the garbage collector",
    "gil_contention": "because another thread held the interpreter lock",
    "lock_wait": "by waiting for a lock",
    "ready_flood": "by a flood of callbacks",
    "microtask_flood": "by promises and ticks that keep calling each other",
    "cpu_throttled": "because its CPU quota was used up",
    "cpu_contention": "because other processes had the CPU",
    "page_faults": "by memory that had to be read from disk",
    "swap": "by memory that was swapped out",
    "stopped": "because the process was stopped",
    "host_wide": "while the whole host stood still",
    "unknown": "for a reason that could not be told",
}

ADVICE: dict[Cause, str] = {
    "blocking_cpu": "move the work to a worker thread or process, or do it in slices",
    "blocking_call": "use an asynchronous client, or move the call to a thread",
    "disk_io": "move file access to a thread, and look at the disk",
    "gc_pause": "keep fewer objects, or freeze those that stay (gc.freeze)",
    "gil_contention": "move the computing thread to a process of its own",
    "lock_wait": "do not take locks that threads hold for long on the event loop",
    "ready_flood": "bound how many tasks are ready at once, and yield less often for less work",
    "microtask_flood": "let the loop turn: use setImmediate in place of process.nextTick and chained promises",
    "cpu_throttled": "raise the CPU limit, or use fewer threads",
    "cpu_contention": "give it more CPU, or move its neighbours",
    "page_faults": "give it more memory, or read the files before they are needed",
    "swap": "give it more memory",
    "stopped": "look for a debugger or a SIGSTOP",
    "host_wide": "look at the host: steal time, suspension, or its load",
    "unknown": "see the evidence",
}


_OF_NODE: dict[Cause, str] = {
    "blocking_cpu": "move the work to a worker thread (worker_threads), or do it in slices with setImmediate",
    "blocking_call": "use the asynchronous form of the call, not the one that ends in Sync",
    "disk_io": "use fs.promises, which works in threads of its own, and look at the disk",
    "gc_pause": "keep fewer objects, and see whether the heap is near its limit (--max-old-space-size)",
    "lock_wait": "use Atomics.waitAsync, or messages: Atomics.wait holds up the event loop",
}


def advice(cause: Cause, runtime: str) -> str:
    """What to do about it."""
    return _OF_NODE.get(cause, ADVICE[cause]) if runtime == "node" else ADVICE[cause]


def by_cause(cause: Cause) -> str:
    """How it came, to follow `was blocked for 1.20 s`."""
    return _BY_CAUSE[cause]


def duration(seconds: float) -> str:
    """`0.48 s`, `12.3 s`, `2 min 30 s`."""
    if 100 <= seconds < LONGEST_SECONDS:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def of(part: float, whole: float) -> str:
    """`0.48 of 0.50 s`."""
    return f"{duration(min(part, whole)).removesuffix(' s')} of {duration(whole)}"


def percent(share: float) -> str:
    """`59 %`."""
    return f"{share * 100:.0f} %"


def times(count: int) -> str:
    """`once`, `3 times`."""
    return "once" if count == 1 else f"{count} times"


def name(frame: Frame) -> str:
    """`parse_catalogue()`: without the functions that it is defined in."""
    function = frame.function.rpartition("<locals>.")[2][-LONGEST_NAME:] or "?"
    return function if function.endswith((">", ")")) else f"{function}()"


def place(frame: Frame) -> str:
    """`ask_database() (db.py:12)`."""
    return f"{name(frame)} ({short(frame.file)}:{frame.line})"


def short(file: str) -> str:
    """`db.py`, and of a package `body-parser/lib/read.js`: whose file it is, where its name alone tells nobody."""
    inside = PACKAGE.split(file)[-1] if PACKAGE.search(file) else file.rpartition("/")[2]
    return inside if len(inside) <= LONGEST_FILE else inside.rpartition("/")[2]
