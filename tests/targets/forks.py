"""
Forks, from inside a running loop and often, while a probe may be active.

`forks.py child`: one child that runs a loop of its own; prints `ready CHILD`. `forks.py often N`: N children that
exit at once; prints `forked N SECONDS`.
"""

import asyncio
import os
import sys
import time


async def linger():
    await asyncio.sleep(3600)


async def main():
    await asyncio.sleep(1.6)
    if sys.argv[1] == "child":
        child = os.fork()
        if child == 0:
            asyncio._set_running_loop(None)
            asyncio.set_event_loop(None)
            asyncio.new_event_loop().run_until_complete(linger())
        print("ready", child, flush=True)
        await linger()
    began = time.monotonic()
    for _ in range(int(sys.argv[2])):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    print("forked", sys.argv[2], time.monotonic() - began, flush=True)
    await linger()


asyncio.run(main())
