"""As many more threads as BENCH_THREADS says: each waits, fifteen calls deep, like those of a pool at rest."""

import os
import threading

DEEP = 15


def wait(depth):
    """Go as deep, and stay there."""
    if depth:
        wait(depth - 1)
    else:
        threading.Event().wait()


def gather():
    """Start them."""
    for number in range(int(os.environ.get("BENCH_THREADS", "0"))):
        threading.Thread(target=wait, args=(DEEP,), name=f"idle-{number}", daemon=True).start()
