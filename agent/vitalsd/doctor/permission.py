"""
Who may look into whom: the kernel's rule as data and a pure function, and the line that grants it.

MEASURED is what was tried, on kernel 6.18 without Yama, with py-spy 0.4.3 against a process of another user or the
same; docs/permissions.md has the same table, and a test holds `may_look` against it.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

__all__ = [
    "CAPABILITIES",
    "MEASURED",
    "READS_ALL",
    "SYS_PTRACE",
    "Looked",
    "Measured",
    "Standing",
    "grant",
    "grant_capabilities",
    "may_look",
    "may_read_files",
    "names",
]

CAPABILITIES = re.findall(
    r"\w+",
    """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
    SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
    AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
    PERFMON BPF CHECKPOINT_RESTORE
    """,
)
"""By bit."""
SYS_PTRACE = 1 << CAPABILITIES.index("SYS_PTRACE")
READS_ALL = 1 << CAPABILITIES.index("DAC_READ_SEARCH") | 1 << CAPABILITIES.index("DAC_OVERRIDE")
"""Either lets a process read files that are their owner's alone."""
Where = Literal["kubernetes", "systemd", "host"]


def names(bits: int) -> tuple[str, ...]:
    """The capabilities in a set, as CapEff has it."""
    known = tuple(f"CAP_{name}" for bit, name in enumerate(CAPABILITIES) if bits >> bit & 1)
    return known + tuple(f"CAP_{bit}" for bit in range(len(CAPABILITIES), 64) if bits >> bit & 1)


class Standing(msgspec.Struct, frozen=True):
    """As whom a process stands before the kernel, of /proc/PID/status and the host."""

    uids: tuple[int, int, int]
    """Real, effective, saved."""
    gids: tuple[int, int, int]
    permitted: int = 0
    effective: int = 0
    ambient: int = 0
    bounding: int = 0
    no_new_privs: bool = False
    yama: int | None = None
    """kernel.yama.ptrace_scope; None where the kernel has no Yama."""

    @property
    def uid(self) -> int:
        """The effective one."""
        return self.uids[1]


class Looked(msgspec.Struct, frozen=True):
    """Whether one process may look into another."""

    may: bool
    why: str


def may_look(
    agent: Standing, process: Standing, *, dumpable: bool = True, related: bool = True, file_capable: bool = False
) -> Looked:
    """
    Whether the kernel lets `agent` attach to `process`.

    `related` is whether the agent's user namespace is the process's or one around it: elsewhere its capabilities
    do not count. `file_capable` is a program that has the capability by its file, as `setcap` gives it.
    """
    by_file = file_capable and not agent.no_new_privs and bool(agent.bounding & SYS_PTRACE)
    if related and (agent.effective & SYS_PTRACE or by_file):
        if agent.yama == 3:
            return Looked(False, "kernel.yama.ptrace_scope is 3: nobody may, until the host is started again")
        return Looked(True, "CAP_SYS_PTRACE")
    same = (*agent.uids[:1] * 3, *agent.gids[:1] * 3) == (*process.uids, *process.gids)
    if not same:
        idle = agent.bounding & SYS_PTRACE and agent.uid != 0 and not agent.effective & SYS_PTRACE
        more = "; SYS_PTRACE is in its bounding set, which gives a user other than root nothing" if idle else ""
        return Looked(
            False,
            f"it runs as uid {process.uids[0]} and gid {process.gids[0]}, this agent as uid {agent.uids[0]} "
            f"and gid {agent.gids[0]} without CAP_SYS_PTRACE{more}",
        )
    if not dumpable:
        return Looked(False, "it has made itself unreadable to its own user (not dumpable)")
    if process.permitted & ~agent.permitted:
        lacks = ", ".join(names(process.permitted & ~agent.permitted)[:3])
        return Looked(False, f"it has capabilities that this agent lacks: {lacks}")
    if agent.yama:
        return Looked(
            False, f"kernel.yama.ptrace_scope is {agent.yama}: without CAP_SYS_PTRACE only parents may look"
        )
    return Looked(True, "the same user and group")


def may_read_files(agent: Standing, owner_uid: int) -> Looked:
    """Whether files of /proc that are their owner's alone let `agent` read them, whom the kernel lets attach."""
    if agent.uid == owner_uid or agent.effective & READS_ALL:
        return Looked(True, "its owner, or a capability that reads all")
    return Looked(
        False,
        f"they are readable for uid {owner_uid} alone, and this agent, of uid {agent.uid}, has CAP_SYS_PTRACE "
        "without CAP_DAC_READ_SEARCH: py-spy alone may look",
    )


def grant(agent: Standing, process: Standing, pid: int, where: Where) -> str:
    """What to do so that it may: one command, or the lines of a unit or a pod."""
    uid, gid = process.uids[0], process.gids[0]
    same_user_suffices = not agent.yama and not process.permitted
    if where == "kubernetes" and same_user_suffices:
        return f"securityContext: {{runAsUser: {uid}, runAsGroup: {gid}}} for the agent's container"
    if where in ("kubernetes", "systemd"):
        return grant_capabilities(where)
    if agent.yama == 3:
        return (
            "kernel.yama.ptrace_scope cannot be lowered from 3: set it in /etc/sysctl.d and start the host again"
        )
    if same_user_suffices and agent.uid == 0:
        return f"setpriv --reuid {uid} --regid {gid} --clear-groups vitalsd watch --pid {pid}"
    return f"sudo vitalsd watch --pid {pid}"


def grant_capabilities(where: Where) -> str:
    """How an agent gets what it takes to read processes of every user."""
    if where == "kubernetes":
        return (
            "securityContext: {runAsUser: 0, allowPrivilegeEscalation: false, "
            "capabilities: {drop: [ALL], add: [SYS_PTRACE, DAC_READ_SEARCH]}} for the agent's container"
        )
    if where == "systemd":
        return "AmbientCapabilities=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH in the agent's unit"
    return "run the agent as root, or with ambient CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH (setpriv, systemd)"


class Measured(msgspec.Struct, frozen=True):
    """One row of the table: an agent, whom it looked at, and whether that worked."""

    agent: str
    standing: Standing
    works: bool
    file_capable: bool = False


def _as(uid: int, *, effective: bool = False, bounding: bool = True, no_new_privs: bool = False) -> Standing:
    bits = SYS_PTRACE if effective else 0
    return Standing(
        (uid, uid, uid), (uid, uid, uid), bits, bits, bits, SYS_PTRACE if bounding else 0, no_new_privs
    )


MEASURED_TARGET = _as(4001, bounding=False)
MEASURED = (
    Measured("same uid and gid, all capabilities dropped", _as(4001, bounding=False), True),
    Measured("another uid, no capabilities", _as(4002, bounding=False), False),
    Measured("another uid, SYS_PTRACE in the bounding set only", _as(4002), False),
    Measured("another uid, SYS_PTRACE ambient", _as(4002, effective=True), True),
    Measured("another uid, py-spy with setcap cap_sys_ptrace+ep", _as(4002), True, file_capable=True),
    Measured("the same with no_new_privs", _as(4002, no_new_privs=True), False, file_capable=True),
    Measured("uid 0, ALL dropped but SYS_PTRACE, no_new_privs", _as(0, effective=True, no_new_privs=True), True),
)
"""Tried: kernel 6.18 without Yama, py-spy 0.4.3, a process of uid and gid 4001."""
