"""Somebody stops the process and lets it go on later: a debugger, a snapshot, a freezer."""

import asyncio
import os
import subprocess
import sys

from scenery import play

PROGRAM = """
import os, signal, sys, time
pid = int(sys.argv[1])
os.kill(pid, signal.SIGSTOP)
print(time.monotonic(), flush=True)
time.sleep(float(sys.argv[2]))
os.kill(pid, signal.SIGCONT)
print(time.monotonic(), flush=True)
"""


async def be_stopped(seconds):
    asked = [sys.executable, "-S", "-c", PROGRAM, str(os.getpid()), str(seconds)]
    child = await asyncio.create_subprocess_exec(*asked, stdout=subprocess.PIPE)
    out, _ = await child.communicate()
    began, ended = map(float, out.split())
    return began, ended


play(be_stopped, "stopped", None)
