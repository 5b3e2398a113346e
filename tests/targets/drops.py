"""A master started by root that forks two workers; they become `nobody` and only then run asyncio."""

import asyncio
import os
import signal
import sys


async def linger():
    await asyncio.sleep(3600)


signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        sys.exit(asyncio.run(linger()))
signal.pause()
