"""Who may read what the kernel guards, and how to grant it: the sentences that every refusal comes with."""

from __future__ import annotations

import os

__all__ = ["refusal", "unreadable"]


def refusal(process: str, file: str) -> str:
    """Why `file` of the process at `/proc/PID`, which takes the right to attach to it, may not be read."""
    uid, owner = os.geteuid(), _owner(process)
    grant = f"run it as uid {owner} with kernel.yama.ptrace_scope=0, or as root with CAP_SYS_PTRACE"
    if owner == str(uid):
        grant = "set kernel.yama.ptrace_scope=0 on the host, or give it CAP_SYS_PTRACE"
    return (
        f"{process}/{file} may be read by uid {owner} with kernel.yama.ptrace_scope=0, "
        f"or with CAP_SYS_PTRACE, this agent is uid {uid}: {grant}"
    )


def unreadable(process: str, file: str) -> str:
    """The same of a file that takes the right to read the process: Yama has no say in that."""
    uid, owner = os.geteuid(), _owner(process)
    grant = f"run it as uid {owner}, or as root with CAP_SYS_PTRACE"
    if owner == str(uid):
        grant = "the process has another group, or capabilities that it lacks: give it CAP_SYS_PTRACE"
    return f"{process}/{file} may be read by uid {owner} or with CAP_SYS_PTRACE, this agent is uid {uid}: {grant}"


def _owner(process: str) -> str:
    try:
        return str(os.stat(process).st_uid)  # noqa: PTH116 - a string is what there is
    except OSError:
        return "its own"
