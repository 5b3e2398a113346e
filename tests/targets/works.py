"""
Computes in `grind`, called by `handle`, for half of the time. `works.py threads N` beside N threads that wait,
`works.py hash` in native code that has let go of the interpreter lock.
"""

import hashlib
import sys
import threading
import time


def grind(until):
    total = 0
    while time.perf_counter() < until:
        for number in range(1000):
            total += number * number
    return total


def handle(work):
    work(time.perf_counter() + 0.02)


def digest(until):
    while time.perf_counter() < until:
        hashlib.sha256(BLOCK).digest()


def rest(depth):
    if depth:
        rest(depth - 1)
    else:
        threading.Event().wait()


BLOCK = bytes(1 << 20)
kind = sys.argv[1] if len(sys.argv) > 1 else "plain"
if kind == "threads":
    for number in range(int(sys.argv[2])):
        threading.Thread(target=rest, args=(15,), daemon=True, name="idle-%d" % number).start()
print("ready", flush=True)
while True:
    handle(digest if kind == "hash" else grind)
    time.sleep(0.02)
