"""One callback that computes for long, in a turn in which hundreds of short ones are ready too."""

import asyncio
import time

from scenery import play

CROWD = 300


def greet():
    pass


def price_everything(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


async def stall(seconds):
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    began = time.monotonic()
    loop.call_soon(price_everything, seconds)
    for _ in range(CROWD):
        loop.call_soon(greet)
    loop.call_soon(lambda: done.set_result(time.monotonic()))
    return began, await done


play(stall, "blocking_cpu", "price_everything")
