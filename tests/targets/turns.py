"""
Stops inside a callback of its loop, as often as it is told to, and tells each time what that callback's turn is.

The mode says what the callback does. At each stop a line `stopped NAME {json}` has what the loop's own frame
holds; the program goes on at the next line of its input.
"""

import asyncio
import gc
import inspect
import json
import os
import sys
import threading
import time


def turn():
    """What the nearest frame of the loop's iteration holds."""
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != "_run_once":
        frame = frame.f_back
    if frame is None:
        return None
    own = frame.f_locals
    return {"turn_began": own["end_time"], "ready": own["ntodo"], "ran": own["i"] + 1}


def stop(name):
    about = {"pid": os.getpid(), "now": time.monotonic(), "turn": turn()}
    print("stopped %s %s" % (name, json.dumps(about)), flush=True)
    sys.stdin.readline()


def deep(depth, name):
    """A stop below so many plain functions."""
    if depth:
        deep(depth - 1, name)
    else:
        stop(name)


async def awaited(depth, name):
    """And below so many coroutines."""
    if depth:
        await awaited(depth - 1, name)
    else:
        deep(10, name)


async def blocks():
    await asyncio.sleep(0)
    await awaited(10, "block")


async def floods():
    """A turn over 400 callbacks, of which the first, another one and the last stop."""
    loop = asyncio.get_event_loop()
    await asyncio.sleep(0)
    for number in range(400):
        loop.call_soon(*((stop, "flood") if number in (0, 200, 399) else (int,)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def steps():
    """One short turn after another."""
    for _ in range(5):
        stop("step")
        await asyncio.sleep(0)


async def saturates():
    """Turns without a pause, and a thread that wants the lock now and then."""
    threading.Thread(target=lambda: [time.sleep(0.001) for _ in iter(int, 1)], daemon=True).start()
    print("stopped not {}", flush=True)
    while True:
        sum(range(20000))
        await asyncio.sleep(0)


async def collects():
    """Two stops before, and one in the middle of a collection."""
    stop("before")

    def collecting(phase, info):
        if phase == "start":
            gc.callbacks.clear()
            stop("collecting")

    gc.callbacks.append(collecting)
    gc.collect()
    stop("after")


async def forks():
    """A child whose loop is its own, from a thread that is not the parent's first."""

    def fork():
        if os.fork() == 0:
            asyncio.events._set_running_loop(None)
            asyncio.run(blocks())
            os._exit(0)
        os.wait()

    await asyncio.get_event_loop().run_in_executor(None, fork)


def in_a_thread():
    """A loop that is not the main thread's, among threads that have none."""
    over = threading.Event()

    def others():
        for _ in range(3):
            threading.Thread(target=over.wait, daemon=True).start()

    async def main():
        others()
        await blocks()

    others()
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()


def execs():
    asyncio.run(blocks())
    os.execv("/bin/cat", ["cat"])


if sys.argv[1:2] == ["uvloop"]:
    import uvloop

    uvloop.install()
mode = globals()[sys.argv[-1]]
if inspect.iscoroutinefunction(mode):
    asyncio.run(mode())
else:
    mode()
