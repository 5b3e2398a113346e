"""
A service of which workers leak: `wsgi`, to be run by gunicorn. $LEAKS says who: `first`, which is one worker for
good, or `all`. It begins when the file $LEAKS_FROM is there; the one that is first writes its pid beside it.

`/slow` takes half a second, and `/hang` never answers: its worker computes for ever.
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
    while environ["PATH_INFO"] == "/hang":
        pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
