"""
The service that blocks 1 s in every 10 s, with what people measure its delay by in it: a 20 ms timer, aiodebug.

It answers every request with its books and with what each of them has read since `/reset`, as p50 and p99.
"""

import asyncio
import json

import blocking
from aiodebug import log_slow_callbacks, monitor_loop_lag

BEAT_SECONDS = 0.02


class Readings:
    """Seconds, by what has read them."""

    def __init__(self):
        self.of = {"20 ms call_later": [], "aiodebug, callbacks": [], "aiodebug, loop lag": []}

    def timing(self, _metric, milliseconds):
        """The lag of the loop, as StatsD is told it."""
        self.of["aiodebug, loop lag"].append(max(0.0, milliseconds / 1000))

    def beat(self, loop, due):
        """See how late it is, and come again."""
        now = loop.time()
        self.of["20 ms call_later"].append(max(0.0, now - due))
        loop.call_later(BEAT_SECONDS, self.beat, loop, now + BEAT_SECONDS)

    def start(self):
        """Begin to measure the loop that runs."""
        loop = asyncio.get_running_loop()
        log_slow_callbacks.enable(0.0, lambda _name, seconds: self.of["aiodebug, callbacks"].append(seconds))
        monitor_loop_lag.enable(self, loop=loop)
        self.beat(loop, loop.time())

    def quantiles(self):
        """The 50th and 99th percentile of each; nothing of what has seen nothing."""
        return {name: [_quantile(read, share) for share in (0.5, 0.99)] for name, read in self.of.items() if read}

    def reset(self):
        """Begin anew."""
        for read in self.of.values():
            read.clear()


def _quantile(values, share):
    return sorted(values)[int(share * (len(values) - 1))]


readings = Readings()


async def app(scope, receive, send):
    """As the service does, with the readings."""
    if scope["type"] == "lifespan":
        readings.start()
        await blocking.app(scope, receive, send)
        return
    if scope["path"] == "/reset":
        readings.reset()
    body = json.dumps({**json.loads(blocking.books.as_json()), "readings": readings.quantiles()}).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
