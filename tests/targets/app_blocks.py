"""
An unmodified ASGI service, for any server, that blocks its loop for $BLOCK_SECONDS (1) in each $EVERY_SECONDS (4).

`ask_slowly` is where it hangs; each block is announced by `blocking` before and `done` after, on standard output.
"""

import asyncio
import os
import time

BLOCK_SECONDS = float(os.environ.get("BLOCK_SECONDS", "1.0"))
EVERY_SECONDS = float(os.environ.get("EVERY_SECONDS", "4.0"))


def ask_slowly():
    time.sleep(BLOCK_SECONDS)


async def block_now_and_then():
    while True:
        await asyncio.sleep(EVERY_SECONDS - BLOCK_SECONDS)
        print("blocking", flush=True)
        ask_slowly()
        print("done", flush=True)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        blocking = None
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                blocking = asyncio.ensure_future(block_now_and_then())
            else:
                blocking.cancel()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})
