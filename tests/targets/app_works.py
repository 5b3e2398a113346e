"""An ASGI service whose every request computes for as long as it is asked to."""

import time
from urllib.parse import parse_qs


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    asked = parse_qs(scope["query_string"].decode())
    until = time.thread_time() + float(asked["seconds"][0])
    while time.thread_time() < until:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
