"""A healthy control: short callbacks all the time, at some 70 % of a core, none longer than a few milliseconds."""

import asyncio
import time

from scenery import play


def answer():
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass


async def serve(seconds):
    end = time.monotonic() + seconds + 0.5
    while time.monotonic() < end:
        answer()
        await asyncio.sleep(0.0007)


play(serve)
