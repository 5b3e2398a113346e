"""A wait that ends early when there is nothing to wait for."""

from __future__ import annotations

import asyncio

__all__ = ["pause"]


async def pause(over: asyncio.Event, seconds: float) -> None:
    """Until the time has passed, or `over` is set."""
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        pass
