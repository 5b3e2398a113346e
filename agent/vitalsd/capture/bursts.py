"""A few samples of a thread that computes, one shortly after the other, as soon as it has run for so long."""

from __future__ import annotations

import asyncio
import contextlib
import time

from vitalsd.sources.perf import ThreadSamples, UserSample

__all__ = ["burst"]

SAMPLES = 12
PERIOD_SECONDS = 0.001
"""Of the thread's own time on a processor."""
PATIENCE_SECONDS = 0.1
"""For one that has no processor: a period of a quota."""


async def burst(tid: int) -> list[UserSample]:
    """Those that came. Raises NoSamplesError."""
    samples = ThreadSamples(tid, PERIOD_SECONDS)
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    until = time.monotonic() + PATIENCE_SECONDS
    found: list[UserSample] = []
    try:
        loop.add_reader(samples.fd, came.set)
        with contextlib.suppress(TimeoutError):
            while len(found) < SAMPLES:
                async with asyncio.timeout(until - time.monotonic()):
                    await came.wait()
                came.clear()
                new = samples.read()
                if not new:
                    break  # the thread has ended
                found += new
        found += samples.read()
    finally:
        loop.remove_reader(samples.fd)
        samples.close()
    return found
