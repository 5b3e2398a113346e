"""Forks a child after the other, each of which runs a loop for a moment; the seventh blocks its own for 0.4 s."""

import asyncio
import os
import time


def ask_slowly():
    time.sleep(0.4)


async def main(number):
    await asyncio.sleep(0.02)
    if number == 7:
        ask_slowly()


for number in range(20):
    pid = os.fork()
    if pid == 0:
        asyncio.run(main(number))
        os._exit(0)
    os.waitpid(pid, 0)
