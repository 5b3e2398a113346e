"""A small web service: `/` answers at once, `/block` with a call that blocks its event loop for a second."""

import asyncio
import os
import time


def ask_old_database() -> None:
    """What should not be called in an event loop."""
    time.sleep(1.0)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request."""
    request = await reader.readline()
    while await reader.readline() not in (b"\r\n", b"\n", b""):
        pass
    if request.split(b" ")[1:2] == [b"/block"]:
        ask_old_database()
    writer.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nopen\n")
    await writer.drain()
    writer.close()


async def main() -> None:
    """Serve until the end."""
    server = await asyncio.start_server(serve, os.environ.get("HOST", ""), int(os.environ.get("PORT", "8000")))
    async with server:
        await server.serve_forever()


asyncio.run(main())
