"""
A small ASGI service: about 100 us of work per request; a plain heartbeat or debug mode if asked for.

The work is what services do, reading and writing a document. A loop over numbers would not do: it allocates and
frees one object of one size all the time, and whether that happens to cross the border of a memory pool, which any
object that was made before decides, changes its speed by more than what is to be measured.
"""

import asyncio
import json
import os
import time

from crowd import gather
from inout import switch

STALL_SECONDS = 1.5
BEAT_SECONDS = float(os.environ.get("BENCH_BEAT_SECONDS", "0"))
STARTING = []
"""What else is called once the loop runs."""
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"6")]


DOCUMENT = json.dumps(
    [{"name": f"thing {number}", "price": number * 1.25, "tags": ["new", "red"]} for number in range(85)]
)


def work() -> int:
    """Some 100 us of it."""
    things = json.loads(DOCUMENT)
    things.sort(key=lambda thing: -thing["price"])
    return len(json.dumps(things))


def beat(loop, due):
    """What a plain event-loop monitor does: see how late it is, and come again."""
    late = max(0.0, loop.time() - due)
    loop.call_later(BEAT_SECONDS, beat, loop, due + BEAT_SECONDS + late)


async def app(scope, receive, send):
    """Answer every request with the same six bytes."""
    if scope["type"] == "lifespan":
        await receive()
        loop = asyncio.get_running_loop()
        if os.environ.get("BENCH_DEBUG"):  # uvicorn overrules PYTHONASYNCIODEBUG
            loop.set_debug(True)
        if BEAT_SECONDS:
            beat(loop, loop.time())
        for start in STARTING:
            start()
        gather()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] in ("/in", "/out"):
        switch(scope["path"])
    if scope["path"] == "/stall":
        time.sleep(STALL_SECONDS)  # noqa: ASYNC251 - that is what a stall is
    work()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"hello\n"})
