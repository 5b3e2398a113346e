"""A healthy control: bursts of 5 to 40 ms, which no threshold of 100 ms is for."""

import asyncio
import random
import time

from scenery import play

chance = random.Random(3)


async def burst(_seconds):
    for _ in range(15):
        end = time.monotonic() + chance.uniform(0.005, 0.04)
        while time.monotonic() < end:
            pass
        await asyncio.sleep(0.05)


play(burst)
