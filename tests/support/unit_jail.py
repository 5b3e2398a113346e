"""Runs a command with the system calls, address families and the mask of new files that a unit lets it have."""

from __future__ import annotations

import ctypes
import os
import socket
import sys

REFUSED = 0x00050001  # SCMP_ACT_ERRNO(EPERM)
ALLOWED = 0x7FFF0000
EQUAL = 4
PR_SET_MDWE, NO_GAIN_OF_EXECUTION = 65, 1


class Argument(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def main(calls: str, families: str, umask: str, *command: str) -> None:
    """Shut the door, then run it."""
    os.umask(int(umask, 8))
    ctypes.CDLL(None).prctl(PR_SET_MDWE, NO_GAIN_OF_EXECUTION, 0, 0, 0)
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(REFUSED))
    for name in set(calls.split(",")) - {"socket"}:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            seccomp.seccomp_rule_add(rules, ALLOWED, number, 0)
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in families.split(","):
        argument = Argument(0, EQUAL, getattr(socket, family), 0)
        seccomp.seccomp_rule_add_array(rules, ALLOWED, number, 1, ctypes.byref(argument))
    if seccomp.seccomp_load(rules) != 0:
        raise SystemExit("the filter of system calls is not taken")
    os.execvp(command[0], command)


main(*sys.argv[1:])
