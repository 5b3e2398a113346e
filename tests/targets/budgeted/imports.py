"""Imports a module in its loop, which takes half a second, as a server does with its application."""

import asyncio
import importlib
import sys
import time

if __name__ == "imports":
    time.sleep(0.5)
else:

    async def main():
        sys.path.insert(0, __file__.rpartition("/")[0])
        importlib.import_module("imports")
        await asyncio.sleep(0.1)

    asyncio.run(main())
