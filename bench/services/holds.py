"""
Holds as many objects as it is told, and measures its own loop: what a callback waits that is due each millisecond.

SIGUSR1 prints how many waits there were since the last time, their 50th and 99th percentile and the longest, in
seconds. SIGUSR2 counts the objects the plain way, in a thread: by `gc.get_objects()`.
"""

import asyncio
import collections
import gc
import signal
import sys
import threading
from array import array

from crowd import gather

TICK_SECONDS = 0.001


class Session:
    """Something a service keeps."""

    def __init__(self, number):
        self.number = number
        self.items = [number]


def count_plainly():
    """What many a guide advises."""
    collections.Counter(map(type, gc.get_objects()))


async def main():
    """Keep the objects and tick."""
    loop = asyncio.get_running_loop()
    gc.disable()  # its own collections would be longer than anything that is measured here
    kept = [Session(number) for number in range(int(sys.argv[1]) // 2)]
    waits = array("d")

    def report():
        nonlocal waits
        told, waits = sorted(waits) or [0.0], array("d")
        quantiles = [told[int((len(told) - 1) * share)] for share in (0.5, 0.99, 1)]
        print(len(told), *quantiles, flush=True)

    gather()
    loop.add_signal_handler(signal.SIGUSR1, report)
    loop.add_signal_handler(signal.SIGUSR2, lambda: threading.Thread(target=count_plainly).start())
    print("ready", len(kept), flush=True)
    while True:
        due = loop.time() + TICK_SECONDS
        await asyncio.sleep(TICK_SECONDS)
        waits.append(loop.time() - due)


asyncio.run(main())
