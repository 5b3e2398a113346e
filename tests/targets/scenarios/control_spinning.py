"""
A healthy control: ten tasks that take turns and never wait, from the first call to the end of the process.

Each turn takes some 0.1 ms, of asyncio and, named as the first argument, of uvloop: nothing waits for longer.
"""

import asyncio

from scenery import play

SECONDS = 4.5
tasks = []


async def spin():
    while True:
        sum(range(600))
        await asyncio.sleep(0)


async def saturate(_seconds):
    if not tasks:
        tasks.extend(asyncio.ensure_future(spin()) for _ in range(10))
    await asyncio.sleep(SECONDS)


play(saturate)
