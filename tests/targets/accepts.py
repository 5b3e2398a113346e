"""
Accepts connections and keeps them, as a service does whose clients never leave: `accepts.py LIMIT`.

May have so many descriptors. Prints `ready PORT`, and `accept failed` when it has none left.
"""

import asyncio
import resource
import socket
import sys

limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


async def main():
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        print(f"ready {server.getsockname()[1]}", flush=True)
        while True:
            try:
                kept.append(await asyncio.get_running_loop().sock_accept(server))
            except OSError:  # noqa: PERF203 - the last one
                print("accept failed", flush=True)
                await asyncio.sleep(600)


asyncio.run(main())
