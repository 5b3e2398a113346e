"""Runs one short loop after the other in the same thread, each busy for 20 ms, until told to end."""

import asyncio
import time

print("ready", flush=True)


async def a_little():
    time.sleep(0.02)
    await asyncio.sleep(0.05)


while True:
    asyncio.run(a_little())
