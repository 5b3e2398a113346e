"""
Workers as many as are asked for, forked from one supervisor: asyncio loops that have a little to do each second.

`pool.py FILE NAME`: the file has their number, and is read again and again. They share what was imported before
the fork, so a thousand fit into memory. What is printed is how many there are.
"""

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

PERIOD_SECONDS = 1.0
LOOK_SECONDS = 0.2


async def work():
    """Work a fraction of a millisecond each second, at a moment of its own, with some tasks about."""
    waiting = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(20)]
    await asyncio.sleep(random.random() * PERIOD_SECONDS)
    while not waiting[0].done():
        sum(range(5_000))
        await asyncio.sleep(PERIOD_SECONDS)


def start():
    """One more."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        random.seed()
        try:
            asyncio.run(work())
        finally:
            os._exit(1)
    return child


def main(wanted_in):
    """Have as many as the file says, until it is over."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    children = []
    try:
        while True:
            wanted = int(wanted_in.read_text() or 0)
            if len(children) < wanted:
                children.append(start())
                print(len(children), flush=True)
            else:
                time.sleep(LOOK_SECONDS)
    finally:
        for child in children:
            os.kill(child, signal.SIGTERM)
        for child in children:
            os.waitpid(child, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
