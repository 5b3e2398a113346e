"""Blocks in `ask_slowly`: `once.py SECONDS [EXIT CODE | exits | dies | uvloop]`; for good with `once.py hangs`."""

import asyncio
import os
import signal
import sys
import time


def ask_slowly(seconds):
    time.sleep(seconds)


async def main(given):
    if given == "hangs":
        await asyncio.sleep(0.3)
        print("blocking", flush=True)
        ask_slowly(600)
    ask_slowly(float(given))
    if "exits" in sys.argv:
        os._exit(0)
    if "dies" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)


if "uvloop" in sys.argv:
    import uvloop

    uvloop.install()
asyncio.run(main(sys.argv[1]))
sys.exit(int(sys.argv[2]) if sys.argv[2:] and sys.argv[2].isdigit() else 0)
