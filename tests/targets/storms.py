"""A small service in trouble of one kind, `gc`, `errors` or `pool`; or `calm`, with a little of each.

Prints `ready` when its loop runs, and `storm` when the trouble begins, $CALM_SECONDS (16) later.
"""

import asyncio
import gc
import os
import sys
import time

CALM_SECONDS = float(os.environ.get("CALM_SECONDS", "16"))
heap = [[number] for number in range(200_000)]


class Order:
    def __init__(self):
        self.itself = self


def serve_request():
    """Leave a cycle behind, and clean up at once, as somebody once found on the internet."""
    orders = [Order() for _ in range(1000)]
    began = time.monotonic()
    del orders
    gc.collect()
    return time.monotonic() - began


async def collect():
    while True:
        took = serve_request()
        await asyncio.sleep(2 * took)


async def ask(customer):
    raise KeyError(customer)


async def fail(count=None):
    while count is None or count > 0:
        task = asyncio.ensure_future(ask("Mrs Miller"))
        await asyncio.sleep(0.1)
        del task
        count = count - 1 if count is not None else None


def resolve():
    time.sleep(0.5)


async def overload():
    loop = asyncio.get_running_loop()
    calls = []
    while True:
        calls += [loop.run_in_executor(None, resolve) for _ in range(10)]
        await asyncio.sleep(0.1)


async def be_calm():
    """One full collection, three errors, and a batch that takes the pool two seconds."""
    serve_request()
    await fail(3)
    loop = asyncio.get_running_loop()
    await asyncio.gather(*[loop.run_in_executor(None, resolve) for _ in range(24)])
    await asyncio.sleep(3600)


def start():
    """Make garbage for a second, as imports do."""
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        serve_request()


def say_nothing(_loop, _context):
    """Nobody reads what is printed, and a pipe that is full would be the next trouble."""


async def main(kind):
    asyncio.get_running_loop().set_exception_handler(say_nothing)
    print("ready", flush=True)
    await asyncio.sleep(CALM_SECONDS)
    print("storm", flush=True)
    await {"gc": collect, "errors": fail, "pool": overload, "calm": be_calm}[kind]()


start()
asyncio.run(main(sys.argv[1]))
