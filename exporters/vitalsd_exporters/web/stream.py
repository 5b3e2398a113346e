"""
The targets as server-sent events each second, and incidents when they change, for as long as somebody listens.

The first event of incidents holds all that are open or were lately; each further one those that have changed.
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
from vitalsd_exporters.web.targets import targets_as_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from vitalsd.model import Incident
    from vitalsd_exporters.state import View

__all__ = ["LiveStream"]

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 1.0
HEARTBEAT = b": heartbeat\n\n"
"""A comment: it opens the stream at once, and keeps it open while there is nothing to say."""


class LiveStream(StreamingResponse):
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
    news = _News(view)
    while True:
        yield _event("targets", lambda: targets_as_json(view))
        if changed := _event("incidents", news.changed):
            yield changed
        await asyncio.sleep(INTERVAL_SECONDS)


class _News:
    """The incidents that one listener does not know yet."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._told: tuple[Incident, ...] | None = None

    def changed(self) -> object | None:
        """Those that have changed since it was last asked, at first all; None where nothing has."""
        changed = self._changed()
        return as_json(changed) if changed is not None else None

    def _changed(self) -> tuple[Incident, ...] | None:
        told, now = self._told, self._view.incidents()
        if now is told:
            return None
        self._told = now
        if told is None:
            return now
        known = {incident.id: incident for incident in told}
        return tuple(each for each in now if known.get(each.id) is not each) or None


def _event(name: str, read: Callable[[], object | None]) -> bytes:
    """One event; nothing if there is nothing to tell, and a heartbeat if it cannot be told."""
    try:
        things = read()
        if things is None:
            return b""
        return f"event: {name}\ndata: ".encode() + msgspec.json.encode({name: things}) + b"\n\n"
    except Exception:
        log.exception("stream_reading_failed", event_name=name)
        return HEARTBEAT
