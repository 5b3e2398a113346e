"""
Rests for so long, says `now`, blocks for 0.4 s in `ask_slowly`, and so on. `rests.py uvloop` does so on uvloop.

`rests.py fork` forks instead, and says how long it took and how many threads the kernel saw in that moment.
"""

import asyncio
import ctypes
import os
import sys
import time

RESTS_SECONDS = float(os.environ.get("RESTS_SECONDS", "15"))
threads = []


def ask_slowly():
    time.sleep(0.4)


@ctypes.PYFUNCTYPE(None)
def count():
    threads.append(len(os.listdir("/proc/self/task")))


def fork():
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(0)
    print("forked", time.monotonic() - began, threads[-1], flush=True)
    os.waitpid(child, 0)


async def main():
    print("ready", flush=True)
    while True:
        await asyncio.sleep(RESTS_SECONDS)
        print("now", flush=True)
        fork() if sys.argv[1:] == ["fork"] else ask_slowly()


if sys.argv[1:] == ["uvloop"]:
    import uvloop

    uvloop.install()
ctypes.CDLL(None).__register_atfork(count, None, None, None)
asyncio.run(main())
