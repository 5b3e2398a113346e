"""
The stream that the page lives on: only what a page shows, and of that only what has changed.

Workers are looked at as the latest round of sampling left them; of now are the stalls in progress, which the
observer knows without a reading. So nothing is read for a page that is open. Of 500 workers it costs 1 ms of the
agent's loop each second and, with each round, 11 ms in slices (`book`); 230 KB are told where all have changed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from vitalsd.times import rfc3339
from vitalsd_exporters.web.agent import problems_of
from vitalsd_exporters.web.page.rows import brief, target_row
from vitalsd_exporters.web.stream import HEARTBEAT, CaptureNews, EventStream, News, event, gone_of, listed_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vitalsd.model import Incident
    from vitalsd_exporters.state import View
    from vitalsd_exporters.web.page.book import Place, RowBook
    from vitalsd_exporters.web.page.rows import WorkerRow
    from vitalsd_exporters.web.stream import Streams

__all__ = ["PageNews", "page_stream"]

INTERVAL_SECONDS = 1.0
STARTED_AT = time.time()
"""Of this process, near enough."""


def page_stream(view: View, book: RowBook, streams: Streams) -> EventStream:
    """The answer to `GET /api/v1/stream?view=page`."""
    return EventStream(_events(PageNews(view, book)), streams)


async def _events(news: PageNews) -> AsyncIterator[bytes]:
    """All there is, and then what has changed, once a second; a heartbeat where nothing has."""
    yield HEARTBEAT
    while True:
        yield await news.events() or HEARTBEAT
        await asyncio.sleep(INTERVAL_SECONDS)


class PageNews:
    """What one page has not been told yet."""

    def __init__(self, view: View, book: RowBook) -> None:
        self._view = view
        self._book = book
        self._incidents: News[Incident] = News(view.incidents)
        self._captures = CaptureNews(view)
        self._agent: object = None
        self._targets: object = None
        self._told: dict[Place, WorkerRow] | None = None
        self._rows: dict[Place, WorkerRow] = {}

    async def events(self) -> bytes:
        """One event for each sort of thing that has changed."""
        self._view.look_closely()
        self._rows = await self._book.rows()
        return b"".join(
            [
                event("agent", self._new_agent),
                event("targets", self._new_targets),
                event("workers", self._new_workers),
                *[part async for part in listed_event("incidents", self._incidents.changed, brief)],
                event("captures", self._captures.told),
                event("gone", lambda: gone_of(self._incidents, self._captures)),
            ]
        )

    def _new_agent(self) -> object | None:
        agent = self._view.agent()
        now: dict[str, Any] = {
            "version": agent.version,
            "started_at": rfc3339(STARTED_AT),
            "problems": problems_of(agent, self._view.incidents()),
            "interval_seconds": round(agent.effective_interval_seconds, 1),
            "runbooks": self._view.runbooks,
        }
        before, self._agent = self._agent, now
        return now if now != before else None

    def _new_targets(self) -> object | None:
        now = [target_row(target, self._view.remedy(target.name).state) for target in self._view.sampled()]
        before, self._targets = self._targets, now
        return now if now != before else None

    def _new_workers(self) -> object | None:
        before, self._told = self._told, self._rows
        if before is None:
            return {"all": True, "rows": list(self._rows.values()), "gone": []}
        changed = [row for place, row in self._rows.items() if before.get(place) != row]
        gone = [f"{target}/{slot}" for target, slot in before.keys() - self._rows.keys()]
        return {"all": False, "rows": changed, "gone": gone} if changed or gone else None
