"""
What the selector wrap adds to one turn of an asyncio loop.

One loop in one process runs chains of `call_soon`, each turn one `select(0)`. The probe's wrapper goes in and out
every few milliseconds, so whatever disturbs the machine disturbs both. CPU time of the thread counts.
"""

from __future__ import annotations

import asyncio
import os
import time
from _thread import get_ident
from collections.abc import Callable

from bench.figures import Bar, Figure, estimate, paired
from bench.harness import scratch

SHOWS = "CPU time the probe's wrapper adds to one turn of an asyncio loop"
BARS = {"selector wrap": Bar(0.4, "us")}

TURNS = 2000
BLOCKS = 400
ACTIVE_AFTER_SECONDS = 1.5


def run(quick: bool) -> list[Figure]:
    """Measure the wrapper, and asyncio's debug mode for comparison."""
    with scratch() as folder:
        os.environ["VITALSD_DIR"] = str(folder)
        return asyncio.run(_measure(BLOCKS // 10 if quick else BLOCKS))


async def _measure(blocks: int) -> list[Figure]:
    from vitalsd.probe.python import install, lifecycle

    install()
    asyncio._set_running_loop(asyncio.get_running_loop())  # it already ran when the hook was placed
    await asyncio.sleep(ACTIVE_AFTER_SECONDS)
    loop = asyncio.get_running_loop()
    assert lifecycle._active is not None
    loops = lifecycle._active.loops
    loops.detach(get_ident())

    wrapped = await _alternate(blocks, lambda: loops.attach(loop), lambda: loops.detach(get_ident()))
    debug = await _alternate(blocks // 10, lambda: loop.set_debug(True), lambda: loop.set_debug(False))
    nothing = await _alternate(blocks, lambda: None, lambda: None)
    bare = [us for us, _ in wrapped]
    return [
        estimate("selector wrap", [paired(bare, [us for _, us in wrapped], _added)], "us", BARS["selector wrap"]),
        estimate("nothing at all (the noise of this method)", [[b - a for a, b in nothing]], "us"),
        estimate("asyncio debug mode", [[b - a for a, b in debug]], "us"),
        estimate("a bare turn", [bare], "us"),
    ]


def _added(bare: float, wrapped: float) -> float:
    return wrapped - bare


async def _alternate(
    blocks: int, put_in: Callable[[], None], take_out: Callable[[], None]
) -> list[tuple[float, float]]:
    """Microseconds per turn without and with, in ABBA order."""
    await _turns(TURNS)
    pairs = []
    for block in range(blocks):
        times = {}
        for inside in (False, True) if block % 2 == 0 else (True, False):
            if inside:
                put_in()
            times[inside] = await _turns(TURNS)
            if inside:
                take_out()
        pairs.append((times[False], times[True]))
    return pairs


async def _turns(count: int) -> float:
    """CPU microseconds per turn."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = count

    def turn() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(turn)
        else:
            done.set_result(None)

    began = time.thread_time_ns()
    loop.call_soon(turn)
    await done
    return (time.thread_time_ns() - began) / count / 1000
