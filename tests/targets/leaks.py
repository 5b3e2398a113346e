"""
Leaks in one way from a moment on: `leaks.py KIND SECONDS`. What it holds before is 40 MB that does not change.

`dict` and `closure` leak objects of Python, `buffers` large ones, `library` what a library in C takes, `native`
what malloc gives to who calls it by its address; `tasks`, `threads` and `files` leak those.
`churn` opens and closes tasks and files, more by day than by night, a day being three minutes, and `warm`
fills a cache from the start.
"""

import asyncio
import ctypes
import gc
import math
import os
import random
import sys
import threading
import time

STEP_SECONDS = 0.1
BYTES_PER_STEP = 150_000
DAY_SECONDS = 180.0


class Session:
    """Something that a service makes for each request."""

    def __init__(self, number):
        self.number = number
        self.items = [number] * 50


held, sessions, listeners, files = [], {}, [], []
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
never = threading.Event()


def leak_dict():
    for _ in range(BYTES_PER_STEP // 600):
        sessions[len(sessions)] = Session(len(sessions))


def leak_closure():
    for _ in range(BYTES_PER_STEP // 700):
        data = [len(listeners)] * 60
        listeners.append(lambda data=data: data)


def leak_native():
    size = BYTES_PER_STEP // 10
    for _ in range(10):
        ctypes.memset(libc.malloc(size), 1, size)


def leak_buffers():
    held.append(bytearray(BYTES_PER_STEP))


def leak_library():
    import sqlite3

    database = sqlite3.connect(":memory:")
    database.execute("create table data as select zeroblob(%d)" % BYTES_PER_STEP)
    held.append(database)


def leak_threads():
    if random.random() < 0.4:
        threading.Thread(target=never.wait, daemon=True).start()


def leak_files():
    files.append(os.open(os.devnull, os.O_RDONLY))


async def wait_for_nobody():
    await asyncio.get_running_loop().create_future()


tasks = set()


def leak_tasks():
    for _ in range(3):
        tasks.add(asyncio.ensure_future(wait_for_nobody()))


def load(now):
    return 0.5 - 0.5 * math.cos(2 * math.pi * now / DAY_SECONDS)


async def visit():
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        garbage = [Session(number) for number in range(200)]
        await asyncio.sleep(random.uniform(0.1, 2))
        return len(garbage)
    finally:
        os.close(descriptor)


def churn():
    for _ in range(round(4 * load(time.monotonic()))):
        tasks.add(asyncio.ensure_future(visit()))
    for task in [task for task in tasks if task.done()]:
        tasks.discard(task)


async def main():
    kind, seconds = sys.argv[1], float(sys.argv[2])
    held.append([Session(number) for number in range(50_000)])
    gc.collect()
    print("ready", flush=True)
    began = time.monotonic()
    while True:
        await asyncio.sleep(STEP_SECONDS)
        now = time.monotonic() - began
        if kind == "churn":
            churn()
        elif kind == "warm":
            if now < seconds / 4:
                leak_dict()
        elif now > seconds:
            globals()["leak_" + kind]()


asyncio.run(main())
