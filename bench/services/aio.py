"""The same small service on aiohttp."""

import asyncio
import sys

from aiohttp import web
from web import BEAT_SECONDS, beat, work


async def answer(_request):
    """Answer every request with the same six bytes."""
    work()
    return web.Response(body=b"hello\n")


async def start_beat(_app):
    """Start the heartbeat, if there is to be one."""
    if BEAT_SECONDS:
        loop = asyncio.get_running_loop()
        beat(loop, loop.time())


if __name__ == "__main__":
    application = web.Application()
    application.router.add_get("/", answer)
    application.on_startup.append(start_beat)
    web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
