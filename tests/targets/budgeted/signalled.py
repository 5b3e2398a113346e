"""Counts the signals that it gets for half a second after the first one, and exits with their number."""

import asyncio
import signal
import sys


async def main():
    came = []
    first = asyncio.Event()
    loop = asyncio.get_running_loop()

    def take(name):
        came.append(name)
        first.set()

    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"):
        loop.add_signal_handler(getattr(signal, name), take, name)
    print("ready", flush=True)
    await first.wait()
    await asyncio.sleep(0.5)
    print(*came, flush=True)
    return len(came)


sys.exit(asyncio.run(main()))
