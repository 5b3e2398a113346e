"""A thread runs one long call of native code that keeps the interpreter lock; the loop cannot come back."""

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor

from scenery import play

pool = ThreadPoolExecutor(1)
chance = random.Random(1)
pieces = [chance.random() for _ in range(1_500_000)]


def rank_everything():
    began = time.monotonic()
    sorted(pieces)
    return began, time.monotonic()


async def rank_in_a_thread(_seconds):
    return await asyncio.get_running_loop().run_in_executor(pool, rank_everything)


play(rank_in_a_thread, "gil_contention", "rank_everything")
