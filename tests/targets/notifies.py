"""A service that tells systemd that it has begun, as its own users would have it."""

import asyncio
import os
import socket


async def serve() -> None:
    """Until it is ended."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    await asyncio.Event().wait()


asyncio.run(serve())
