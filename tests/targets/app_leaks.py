"""
Services of which workers leak (`wsgi`) or hang (`app`, ASGI). $LEAKS says who leaks: `first`, which is one worker
for good, or `all`. It begins when the file $LEAKS_FROM is there; the one that is first writes its pid beside it.

`/slow` takes half a second of `wsgi`, and `/hang` holds the loop of `app` for good.
"""

import os
import threading
import time

STEP_SECONDS = 0.05
SESSIONS_PER_STEP = 60
sessions = []
began = threading.Event()


class Session:
    """Something that a service makes for each request."""

    def __init__(self, number):
        self.number = number
        self.items = [number] * 50


def is_leaking():
    if os.environ["LEAKS"] == "all":
        return True
    try:
        with open(os.environ["LEAKS_FROM"] + ".pid", "x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True


def leak():
    while not os.path.exists(os.environ["LEAKS_FROM"]):
        time.sleep(STEP_SECONDS)
    if not is_leaking():
        return
    while True:
        time.sleep(STEP_SECONDS)
        sessions.extend(Session(number) for number in range(SESSIONS_PER_STEP))


def begin():
    if not began.is_set():
        began.set()
        threading.Thread(target=leak, daemon=True).start()


def wsgi(environ, start_response):
    begin()
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/hang":
        time.sleep(3600)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
