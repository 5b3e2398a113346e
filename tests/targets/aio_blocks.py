"""An unmodified aiohttp service on port $1 that asks a slow database, with a synchronous client, now and then."""

import asyncio
import os
import sys
import time

from aiohttp import web

BLOCK_SECONDS = float(os.environ.get("BLOCK_SECONDS", "0.5"))
EVERY_SECONDS = float(os.environ.get("EVERY_SECONDS", "2"))


def ask_slowly():
    time.sleep(BLOCK_SECONDS)


async def greet(request):
    return web.Response(text="hello")


async def block_now_and_then(app):
    async def block():
        while True:
            await asyncio.sleep(EVERY_SECONDS - BLOCK_SECONDS)
            ask_slowly()

    blocking = asyncio.ensure_future(block())
    yield
    blocking.cancel()


app = web.Application()
app.router.add_get("/", greet)
app.cleanup_ctx.append(block_now_and_then)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
