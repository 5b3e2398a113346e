"""
Who may read what the kernel guards, and how to grant it: the sentences that every refusal comes with.

Two things are asked: CAP_SYS_PTRACE, or the process's own user, of whoever looks into a process; and of files that
have the mode of their owner's alone, as any file does, CAP_DAC_READ_SEARCH of who is not that owner.
"""

from __future__ import annotations

import os

__all__ = ["OWNERS_ALONE", "refusal", "unreadable"]

OWNERS_ALONE = frozenset({"environ", "fd", "io", "mem", "syscall"})
"""Of /proc/PID, with the mode 0400, 0500 or 0600."""


def refusal(process: str, file: str) -> str:
    """Why `file` of the process at `/proc/PID`, which takes the right to attach to it, may not be read."""
    uid, owner, capabilities = os.geteuid(), _owner(process), _capabilities(file)
    grant = f"run it as uid {owner} with kernel.yama.ptrace_scope=0, or as root with {capabilities}"
    if owner == str(uid):
        grant = "set kernel.yama.ptrace_scope=0 on the host, or give it CAP_SYS_PTRACE"
    return (
        f"{process}/{file} may be read by uid {owner} with kernel.yama.ptrace_scope=0, "
        f"or with {capabilities}, this agent is uid {uid}: {grant}"
    )


def unreadable(process: str, file: str) -> str:
    """The same of a file that takes the right to read the process: Yama has no say in that."""
    uid, owner, capabilities = os.geteuid(), _owner(process), _capabilities(file)
    grant = f"run it as uid {owner}, or as root with {capabilities}"
    if owner == str(uid):
        grant = "the process has another group, or capabilities that it lacks: give it CAP_SYS_PTRACE"
    return f"{process}/{file} may be read by uid {owner} or with {capabilities}, this agent is uid {uid}: {grant}"


def _capabilities(file: str) -> str:
    return "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH" if file in OWNERS_ALONE else "CAP_SYS_PTRACE"


def _owner(process: str) -> str:
    try:
        return str(os.stat(process).st_uid)  # noqa: PTH116 - a string is what there is
    except OSError:
        return "its own"
