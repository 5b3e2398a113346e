"""Keeps two executor threads busy with three more calls queued, 25 tasks waiting, and 1 MB of lists alive."""

import asyncio
import concurrent.futures
import gc
import time


async def main():
    loop = asyncio.get_running_loop()
    pool = concurrent.futures.ThreadPoolExecutor(2)
    kept = [[number] for number in range(20000)]
    calls = [loop.run_in_executor(pool, time.sleep, 60) for _ in range(5)]
    tasks = [loop.create_task(asyncio.sleep(3600)) for _ in range(24)]
    print("ready", flush=True)
    while kept and calls and tasks:
        await asyncio.sleep(0.5)
        gc.collect()


asyncio.run(main())
