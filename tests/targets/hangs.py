"""Three tasks wait; after three seconds, in which a probe has found its way, the loop hangs in `hang`."""

import asyncio
import time


def hang():
    time.sleep(600)


async def main():
    tasks = [asyncio.ensure_future(asyncio.sleep(3600)) for _ in range(3)]
    print("ready", flush=True)
    await asyncio.sleep(3)
    hang()
    await asyncio.gather(*tasks)


asyncio.run(main())
