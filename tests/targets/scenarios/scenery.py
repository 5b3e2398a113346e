"""
What every scenario shares: a loop that waits, stalls of known cause and length, and a file that tells the truth.

A scenario calls `play(stall)` with a function that stalls the loop once, and may return when that began and
ended. It is called $STALLS times (8), $PAUSE_SECONDS (0.9) apart, on the loop that the first argument names.
$TRUTH gets a JSON line for each: `began` (CLOCK_MONOTONIC), `seconds`, `cause`, `culprit`. `ready` is printed when
the loop runs, `done` at the end.
"""

import asyncio
import json
import os
import random
import sys
import time

STALLS = int(os.environ.get("STALLS", "8"))
PAUSE_SECONDS = float(os.environ.get("PAUSE_SECONDS", "0.9"))
SHORTEST, LONGEST = (float(word) for word in os.environ.get("STALL_SECONDS", "0.15 0.6").split())


class Truth:
    """The file, written line by line."""

    def __init__(self, cause, culprit):
        self.cause, self.culprit = cause, culprit
        self._file = open(os.environ.get("TRUTH", os.devnull), "a")

    def tell(self, began, seconds):
        """One stall."""
        line = {"began": began, "seconds": seconds, "cause": self.cause, "culprit": self.culprit}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


async def work_a_little():
    """What a healthy service does all the time: wait for timers."""
    while True:
        await asyncio.sleep(0.02)


async def stall_now_and_then(stall, truth):
    """Stall, told from the outside of the function that does it."""
    chance = random.Random(7)
    await asyncio.sleep(2.0)
    for _ in range(STALLS):
        await asyncio.sleep(PAUSE_SECONDS)
        began = time.monotonic()
        told = stall(chance.uniform(SHORTEST, LONGEST))
        if asyncio.iscoroutine(told):
            told = await told
        began, ended = told or (began, time.monotonic())
        if truth is not None and ended > began:
            truth.tell(began, ended - began)
    await asyncio.sleep(PAUSE_SECONDS)


async def perform(stall, truth):
    """Be a small service until the last stall is over."""
    background = asyncio.ensure_future(work_a_little())
    print("ready", os.getpid(), flush=True)
    await stall_now_and_then(stall, truth)
    print("done", flush=True)
    if "LINGER" in os.environ:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    background.cancel()


def play(stall, cause=None, culprit=None):
    """Run the scenario; without a cause it is a healthy control, and there is nothing to tell."""
    truth = Truth(cause, culprit) if cause is not None else None
    if sys.argv[1:] == ["uvloop"]:
        import uvloop

        uvloop.install()
    asyncio.run(perform(stall, truth))
