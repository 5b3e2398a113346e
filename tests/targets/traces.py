"""Holds process $1 as a debugger does, for $2 seconds: prints `held`, and lets it go on."""

import ctypes
import os
import sys
import time

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
pid, seconds = int(sys.argv[1]), float(sys.argv[2])


def ptrace(request):
    if libc.ptrace(request, pid, None, None) == -1:
        sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")


ptrace(PTRACE_SEIZE)
ptrace(PTRACE_INTERRUPT)
os.waitpid(pid, WALL)
print("held", flush=True)
time.sleep(seconds)
ptrace(PTRACE_DETACH)
print("let go", flush=True)
