"""
Closes every descriptor it does not know while a probe is active, as daemons do, and opens files of its own.

Prints `ready`, then `closed`, and at its end `mine are open` when nobody has closed those since.
"""

import asyncio
import os


async def main():
    print("ready", flush=True)
    await asyncio.sleep(1.8)
    loop = asyncio.get_running_loop()
    keep = {loop._selector.fileno(), loop._ssock.fileno(), loop._csock.fileno()}
    for descriptor in range(3, 256):
        if descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                pass
    mine = [os.open("/dev/null", os.O_RDONLY) for _ in range(32)]
    print("closed", flush=True)
    await asyncio.sleep(3.0)
    return mine


mine = asyncio.run(main())
import atexit  # noqa: E402 - registered now, it runs before what the probe registered... and once more after


def check():
    for descriptor in mine:
        os.fstat(descriptor)
    print("mine are open", flush=True)


atexit.register(check)
