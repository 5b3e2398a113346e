"""A callback that takes a lock which a thread holds while it sleeps."""

import threading
import time

from scenery import play

lock = threading.Lock()


def hold(seconds, held):
    with lock:
        held.set()
        time.sleep(seconds)


def update_shared_table(seconds):
    held = threading.Event()
    threading.Thread(target=hold, args=(seconds, held)).start()
    held.wait()
    began = time.monotonic()
    with lock:
        pass
    return began, time.monotonic()


play(update_shared_table, "lock_wait", "update_shared_table")
