"""A worker as the agent sees ten of: an asyncio loop that always has a little to do."""

import asyncio

PERIOD_SECONDS = 0.05


async def main() -> None:
    """Work a millisecond now and then, with some tasks about."""
    waiting = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(20)]
    while not waiting[0].done():
        sum(range(20_000))
        await asyncio.sleep(PERIOD_SECONDS)


asyncio.run(main())
