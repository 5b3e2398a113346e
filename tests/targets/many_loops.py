"""Runs a loop in the main thread and one in each of ten more threads; `ready` when all run."""

import asyncio
import threading
import time

started = threading.Barrier(11)


async def wait():
    while True:
        await asyncio.sleep(0.1)


def run_one():
    started.wait()
    asyncio.run(wait())


for number in range(10):
    threading.Thread(target=run_one, name="loop-%d" % number, daemon=True).start()


async def main():
    started.wait()
    print("ready", flush=True)
    while True:
        await asyncio.sleep(0.1)
        time.sleep(0.002)


asyncio.run(main())
