"""Who may read what ptrace rights guard, and how to grant it: the sentence that every refusal comes with."""

from __future__ import annotations

import os

__all__ = ["refusal"]


def refusal(process: str, file: str) -> str:
    """Why `file` of the process at `/proc/PID` may not be read by this agent."""
    uid = os.geteuid()
    try:
        owner = str(os.stat(process).st_uid)  # noqa: PTH116 - a string is what there is
    except OSError:
        owner = "its own"
    grant = f"run it as uid {owner} with kernel.yama.ptrace_scope=0, or as root with CAP_SYS_PTRACE"
    if owner == str(uid):
        grant = "set kernel.yama.ptrace_scope=0 on the host, or give it CAP_SYS_PTRACE"
    return (
        f"{process}/{file} may be read by uid {owner} with kernel.yama.ptrace_scope=0, "
        f"or with CAP_SYS_PTRACE, this agent is uid {uid}: {grant}"
    )
