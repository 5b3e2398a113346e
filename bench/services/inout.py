"""
Takes the probe's hooks out of the running service and puts them back, so that one process is compared with itself.

What is left while they are out is the probe's thread, which looks at the loops a few times a second.
"""

import asyncio
import gc
import sys
from _thread import get_ident


def switch(path: str) -> None:
    """`/out` or `/in`, whatever it is now; called in the loop's own thread."""
    active = sys.modules["vitalsd_probe.lifecycle"]._active
    collected = active._gcspans._callback
    if collected in gc.callbacks:
        gc.callbacks.remove(collected)
    if path == "/out":
        active.loops.detach(get_ident())
    else:
        active.loops.attach(asyncio.get_running_loop())
        gc.callbacks.append(collected)
