"""Waits for a second, blocks for 0.6 s in `ask_slowly`, and so on. `blocks.py uvloop` does so on uvloop."""

import asyncio
import sys
import time


def ask_slowly():
    time.sleep(0.6)


async def main():
    print("ready", flush=True)
    while True:
        await asyncio.sleep(1.0)
        ask_slowly()


if sys.argv[1:] == ["uvloop"]:
    import uvloop

    uvloop.install()
asyncio.run(main())
