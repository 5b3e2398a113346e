"""Runs a loop that has nothing to do, until told to end. `idles.py SECONDS` ends by itself, exit code 7."""

import asyncio
import sys


async def main():
    print("ready", flush=True)
    await asyncio.sleep(float(sys.argv[1]) if sys.argv[1:] else 3600)


asyncio.run(main())
sys.exit(7)
