"""
Where the main thread of a process waits, as the kernel tells it: its system call, stack and program counter.

A worker that rests waits in the same place of the same loop each time, so whoever has once seen what it does there
knows it again for 3 us. Needs the right to look into the process, as `/proc/PID/syscall` does.
"""

from __future__ import annotations

from pathlib import Path

from vitalsd.model import Frame, Stack
from vitalsd.sources.files import read_file

__all__ = ["Wait", "is_rest", "wait_of"]

Wait = tuple[bytes, bytes, bytes]
"""The number of the call, and the two pointers."""
SERVERS = "/gunicorn/workers/"
"""Whose own wait for a connection is rest; a request is served further in."""
POLLERS = ("/selectors.py",)


def wait_of(proc: Path, pid: int) -> Wait | None:
    """None where it may not be known, or the thread runs."""
    try:
        words = read_file(f"{proc}/{pid}/syscall").split()
    except OSError:
        return None
    return (words[0], words[-2], words[-1]) if len(words) >= 3 else None


def is_rest(stacks: tuple[Stack, ...]) -> bool:
    """Whether all of them show nothing but a server that waits for a connection."""
    return bool(stacks) and all(_waits(stack.frames) for stack in stacks)


def _waits(frames: tuple[Frame, ...]) -> bool:
    calling = next((frame for frame in frames if not frame.file.endswith(POLLERS)), None)
    return calling is not None and SERVERS in calling.file
