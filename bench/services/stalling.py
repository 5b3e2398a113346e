"""An ASGI service that stalls on request: `/stall/NAME/SECONDS` blocks its loop in a function of that name."""

import time
from types import FunctionType


def stall(seconds):
    """Hold the loop."""
    time.sleep(seconds)


def named(name):
    """The same under another name: each is an incident of its own."""
    return FunctionType(stall.__code__.replace(co_name=name, co_qualname=name), globals(), name)


async def app(scope, receive, send):
    """Answer every request with the same six bytes."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    _, what, *how = scope["path"].split("/")
    if what == "stall":
        name, seconds = how
        named(name)(float(seconds))
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"6")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello\n"})
