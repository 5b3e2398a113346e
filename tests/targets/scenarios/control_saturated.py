"""A healthy control: a loop that is never idle, whose turns are short; nothing that arrives waits for long."""

import asyncio
import time

from scenery import play


def serve():
    end = time.perf_counter() + 0.003
    while time.perf_counter() < end:
        pass


async def saturate(seconds):
    end = time.monotonic() + seconds + 1.5
    while time.monotonic() < end:
        serve()
        await asyncio.sleep(0)


play(saturate)
