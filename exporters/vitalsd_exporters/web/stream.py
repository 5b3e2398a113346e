"""
The targets as server-sent events each second, and incidents and captures when they change, while somebody
listens.

The first event of incidents holds all that are open or were lately; each further one those that have changed. The
same of captures, where one that runs changes with its progress. Of both it is told which are gone. The targets are
made once for all listeners (`targetbook`); beside that a listener costs the copying of what it takes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec
import structlog

from vitalsd.capture.model import ACTIVE
from vitalsd_exporters.web.captures import capture_as_json
from vitalsd_exporters.web.edge import as_json
from vitalsd_exporters.web.pieces import PiecedAnswer
from vitalsd_exporters.web.slices import encoded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from vitalsd.capture.model import Capture
    from vitalsd.model import Incident
    from vitalsd_exporters.state import View
    from vitalsd_exporters.web.targetbook import TargetBook

__all__ = [
    "HEARTBEAT", "MOST_STREAMS", "CaptureNews", "EventStream", "LiveStream", "News", "Streams", "event", "gone_of",
    "listed_event",
]  # fmt: skip

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 1.0
HEARTBEAT = b": heartbeat\n\n"
"""A comment: it opens the stream at once, and keeps it open while there is nothing to say."""
MOST_STREAMS = 24
"""Of both views; what is left of the connections of a listener is for whoever asks and goes."""


class Streams:
    """How many are open, of as many as there may be."""

    def __init__(self) -> None:
        self.open = 0

    @property
    def refusal(self) -> str | None:
        """Why there may be none more, if that is so."""
        if self.open < MOST_STREAMS:
            return None
        return f"{MOST_STREAMS} streams are open, which is all there may be: close a page or a `vitalsd top`."


class EventStream(PiecedAnswer):
    """An answer that goes on until its client leaves."""

    def __init__(self, events: AsyncIterator[bytes], streams: Streams) -> None:
        # Proxies that buffer would turn a live stream into a late one.
        headers = {"X-Accel-Buffering": "no"}
        super().__init__(events, headers=headers, media_type="text/event-stream")
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be one of those that are open."""
        self._streams.open += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.open -= 1


class LiveStream(EventStream):
    """What the API tells, for programs."""

    def __init__(self, view: View, book: TargetBook, streams: Streams) -> None:
        super().__init__(_events(view, book), streams)


async def _events(view: View, book: TargetBook) -> AsyncIterator[bytes]:
    yield HEARTBEAT
    incidents = News(view.incidents)
    captures = CaptureNews(view)
    while True:
        async for part in _targets(book):
            yield part
        async for part in listed_event("incidents", incidents.changed, as_json):
            yield part
        if changed := event("captures", captures.told):
            yield changed
        if gone := event("gone", lambda: gone_of(incidents, captures)):
            yield gone
        await asyncio.sleep(INTERVAL_SECONDS)


async def _targets(book: TargetBook) -> AsyncIterator[bytes]:
    """In parts, so that what is long is one object for all listeners."""
    try:
        told = await book.encoded(INTERVAL_SECONDS)
    except Exception:
        log.exception("stream_reading_failed", event_name="targets")
        yield HEARTBEAT
        return
    yield b"event: targets\ndata: "
    yield told
    yield b"\n\n"


class _Named(Protocol):
    @property
    def id(self) -> str: ...


N = TypeVar("N", bound=_Named)


class News(Generic[N]):
    """The things of one sort that one listener does not know yet."""

    def __init__(self, read: Callable[[], tuple[N, ...]]) -> None:
        self._read = read
        self._known: tuple[N, ...] | None = None
        self._gone: list[str] = []

    def changed(self) -> tuple[N, ...] | None:
        """Those that have changed since it was last asked, at first all; None where nothing has."""
        known, now = self._known, self._read()
        if now is known:
            return None
        self._known = now
        if known is None:
            return now
        before = {each.id: each for each in known}
        self._gone += sorted(before.keys() - {each.id for each in now})
        return tuple(each for each in now if before.get(each.id) is not each) or None

    def gone(self) -> list[str]:
        """Ids of those that were told, and by the latest look are no more; each is told once."""
        gone, self._gone = self._gone, []
        return gone


class CaptureNews:
    """The captures that one listener does not know yet, or not as far as they have come by now."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._news: News[Capture] = News(self._latest)
        self._progress: dict[str, tuple[float | None, str | None]] = {}
        """Of those that run or wait: how far they are, and what they wait for."""

    def _latest(self) -> tuple[Capture, ...]:
        return self._view.captures.latest()

    def told(self) -> object | None:
        """Those that have changed, with their progress."""
        captures = self._view.captures
        changed = self._news.changed()
        active = (each.id for each in captures.latest() if each.state in ACTIVE)
        progress = {name: (captures.progress(name), captures.waits_for(name)) for name in active}
        moved = {name for name, now in progress.items() if self._progress.get(name) != now}
        self._progress = progress
        new = {each.id for each in changed or ()}
        told = [*(changed or ()), *(each for each in captures.latest() if each.id in moved - new)]
        return [capture_as_json(captures, each) for each in told] if told or changed is not None else None

    def gone(self) -> list[str]:
        """Ids of those that were deleted, by somebody or to make room."""
        return self._news.gone()


def gone_of(incidents: News[Incident], captures: CaptureNews) -> list[str] | None:
    """Ids of both sorts that are no more; None where there are none."""
    return incidents.gone() + captures.gone() or None


def event(name: str, read: Callable[[], object | None]) -> bytes:
    """One event; nothing if there is nothing to tell, and a heartbeat if it cannot be told."""
    try:
        things = read()
        if things is None:
            return b""
        return f"event: {name}\ndata: ".encode() + msgspec.json.encode({name: things}) + b"\n\n"
    except Exception:
        log.exception("stream_reading_failed", event_name=name)
        return HEARTBEAT


async def listed_event(
    name: str, read: Callable[[], tuple[N, ...] | None], tell: Callable[[N], object]
) -> AsyncIterator[bytes]:
    """The same of things that may be many: in parts, with the loop given back between them."""
    try:
        things = read()
    except Exception:
        log.exception("stream_reading_failed", event_name=name)
        yield HEARTBEAT
        return
    if things is not None:
        yield f'event: {name}\ndata: {{"{name}":['.encode()
        async for part in encoded(things, tell):
            yield part
        yield b"]}\n\n"
