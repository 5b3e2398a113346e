"""
The targets as server-sent events, for as long as somebody listens.

Costs one look at the targets per second and listener. Starlette's way of noticing that a client left loads a
backend of anyio, 2.6 MiB for waiting on two things at once; a TaskGroup does as well.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import structlog
from starlette.responses import StreamingResponse

from vitalsd_exporters.web.edge import as_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from vitalsd_exporters.state import View

__all__ = ["TargetStream"]

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 1.0
HEARTBEAT = b": heartbeat\n\n"
"""A comment: it opens the stream at once, and keeps it open while there is nothing to say."""


class TargetStream(StreamingResponse):
    """An answer that goes on until its client leaves."""

    def __init__(self, view: View) -> None:
        # Proxies that buffer would turn a live stream into a late one.
        headers = {"X-Accel-Buffering": "no"}
        super().__init__(_events(view), headers=headers, media_type="text/event-stream")

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send and, meanwhile, wait for the client to leave."""
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self.stream_response(send))
            await self.listen_for_disconnect(receive)
            sending.cancel()


async def _events(view: View) -> AsyncIterator[bytes]:
    yield HEARTBEAT
    while True:
        try:
            payload = msgspec.json.encode({"targets": as_json(view.targets())})
        except Exception:
            log.exception("stream_reading_failed")
            yield HEARTBEAT
        else:
            yield b"event: targets\ndata: " + payload + b"\n\n"
        await asyncio.sleep(INTERVAL_SECONDS)
