"""An ASGI service with a fault for each budget, asked for by its path."""

import asyncio
import time

KEPT = []
TASKS = set()


def ask_slowly():
    time.sleep(0.4)


async def fail():
    raise ValueError("no text of this is told")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    if scope["path"] == "/slow":
        ask_slowly()
    elif scope["path"] == "/fail":
        await asyncio.wait([asyncio.ensure_future(fail())])
    elif scope["path"] == "/keep":
        KEPT.append(bytearray(1 << 19))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})
