"""Services that hang when they are asked to: `app` is ASGI, `wsgi` is WSGI. `/sleep` waits, `/spin` computes."""

import time


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    serve(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


def wsgi(environ, start_response):
    serve(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]


def serve(path):
    if path.startswith("/sleep"):
        wait_for_the_bank(float(path[6:] or 60))
    elif path.startswith("/spin"):
        count_every_coin(float(path[5:] or 60))


def wait_for_the_bank(seconds):
    time.sleep(seconds)


def count_every_coin(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
