"""
An ASGI service that is at work for $WORK_SECONDS (0.02) for each request, and has its loop wait for that.

`GET /` answers with the pid of the worker.
"""

import os
import time

WORK_SECONDS = float(os.environ.get("WORK_SECONDS", "0.02"))


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    time.sleep(WORK_SECONDS)
    body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
