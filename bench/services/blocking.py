"""
An ASGI service that blocks its loop for 1 s in every 10 s, by turns asleep and computing, and keeps books of it.

Its server works between the blocks too, if little: the thread's CPU clock tells how much.

BENCH_IDLE=1 leaves the blocks out.
"""

import asyncio
import json
import os
import time

PERIOD_SECONDS = 10.0
BLOCK_SECONDS = 1.0


class Books:
    """How often and how long the loop was blocked, and when it will be again (CLOCK_MONOTONIC)."""

    def __init__(self):
        self.blocks = 0
        self.blocked_seconds = 0.0
        self.cpu_in_blocks_seconds = 0.0
        self.next_at = time.monotonic() + PERIOD_SECONDS / 2

    def block(self):
        """Hold the loop, and book it."""
        began, cpu = time.perf_counter(), time.thread_time()
        if self.blocks % 2:
            time.sleep(BLOCK_SECONDS)
        else:
            while time.perf_counter() < began + BLOCK_SECONDS:
                pass
        self.blocked_seconds += time.perf_counter() - began
        self.cpu_in_blocks_seconds += time.thread_time() - cpu
        self.blocks += 1
        self.next_at += PERIOD_SECONDS

    async def keep_blocking(self):
        """Block on an absolute grid."""
        while True:
            await asyncio.sleep(self.next_at - time.monotonic())
            self.block()

    def as_json(self):
        """Everything."""
        between = time.thread_time() - self.cpu_in_blocks_seconds
        return json.dumps({**vars(self), "cpu_between_seconds": between}).encode()


books = Books()


async def app(scope, receive, send):
    """Answer every request with the books."""
    if scope["type"] == "lifespan":
        await receive()
        if not os.environ.get("BENCH_IDLE"):
            scope["state"]["blocking"] = asyncio.create_task(books.keep_blocking())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = books.as_json()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
