"""Becomes another user, as servers do that are started by root, and runs a loop."""

import asyncio
import os

os.setgid(65534)
os.setuid(65534)


class Held:
    pass


held = [Held() for _ in range(3000)]


async def main():
    print("ready", flush=True)
    await asyncio.sleep(3600)


asyncio.run(main())
