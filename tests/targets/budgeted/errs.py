"""A task whose exception nobody looks at, and a coroutine that nobody awaits."""

import asyncio


async def fail():
    raise KeyError("no text of this is told")


async def forgotten():
    pass


async def main():
    task = asyncio.create_task(fail())
    await asyncio.sleep(0.1)
    del task
    forgotten()
    await asyncio.sleep(0.1)


asyncio.run(main())
