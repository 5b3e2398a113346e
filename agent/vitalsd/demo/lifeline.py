"""
Ties a process to its parent: when that is gone, however it went, so is the child. One call at the start.

`python -m vitalsd.demo.lifeline PARENT -- CMD ...` is for a program that cannot make that call itself, and takes
this process's place, pid and tie.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["end_with_parent", "tied"]

PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, signal_number: int) -> None:
    """Have the kernel send `signal_number` when the process `parent`, which started this one, ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:  # it went before the kernel knew
        sys.exit(1)


def tied(command: list[str]) -> list[str]:
    """The command line that starts `command` with its end tied to ours."""
    return [sys.executable, "-P", "-m", "vitalsd.demo.lifeline", str(os.getpid()), "--", *command]


def main() -> None:
    """Become the command."""
    parent, _, *command = sys.argv[1:]
    end_with_parent(int(parent), signal.SIGTERM)
    os.execvp(command[0], command)  # noqa: S606 - to become the program is the point


if __name__ == "__main__":
    main()
