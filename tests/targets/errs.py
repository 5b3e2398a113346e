"""Makes one error in each channel that nobody handles, then waits; prints `ready` and `done`."""

import asyncio
import gc
import threading


class Unraisable:
    def __del__(self):
        raise ValueError("nobody catches this")


async def fails():
    raise KeyError("never retrieved")


async def never_awaited():
    pass


def raises():
    raise RuntimeError("in a thread")


def complains():
    raise LookupError("in a callback")


async def main():
    print("ready", flush=True)
    await asyncio.sleep(3.5)
    asyncio.get_running_loop().call_soon(complains)
    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0.05)
    del task
    never_awaited()
    thread = threading.Thread(target=raises)
    thread.start()
    thread.join()
    Unraisable()
    gc.collect()
    print("done", flush=True)
    await asyncio.sleep(3600)


asyncio.run(main())
