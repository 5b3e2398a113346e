"""The smallest services that a server can run: `app` is ASGI with a lifespan, `wsgi` is WSGI, slow at /slow."""

import time


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.8)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
