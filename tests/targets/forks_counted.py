"""
Forks from inside a running loop, and counts its own threads in the moment of each fork, as the kernel does.

Prints `accompanied N`, at how many of 60 forks there was more than the one that forks.
"""

import asyncio
import ctypes
import os

FORKS = 60
counted = []


@ctypes.PYFUNCTYPE(None)
def count():
    counted.append(len(os.listdir("/proc/self/task")))


async def main():
    await asyncio.sleep(1.6)
    ctypes.CDLL(None).__register_atfork(count, None, None, None)
    for _ in range(FORKS):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        await asyncio.sleep(0.01)
    print("accompanied", sum(threads > 1 for threads in counted), flush=True)
    await asyncio.sleep(3600)


asyncio.run(main())
