"""
The stream that the page lives on: only what a page shows, and of that only what has changed.

Workers are looked at as the latest round of sampling left them; of now are the stalls in progress, which are known
without a reading. So nothing is read for a page that is open, and rows are made anew once a round, some at a time.
"""

from __future__ import annotations

import asyncio
import time
from operator import is_
from typing import TYPE_CHECKING, Any

import msgspec

from vitalsd.times import rfc3339
from vitalsd_exporters.web.agent import problems_of
from vitalsd_exporters.web.page.rows import NONE_OPEN, WorkerRow, brief, open_counts, target_row, worker_row
from vitalsd_exporters.web.stream import HEARTBEAT, CaptureNews, EventStream, News, event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vitalsd.model import Incident, Severity, TargetSnapshot, WorkerSample
    from vitalsd_exporters.state import View

__all__ = ["PageStream", "page_stream"]

INTERVAL_SECONDS = 1.0
STARTED_AT = time.time()
"""Of this process, near enough."""
AT_A_TIME = 50
"""Rows that are made before others have their turn in the loop."""


def page_stream(view: View) -> EventStream:
    """The answer to `GET /api/v1/stream?view=page`."""
    return EventStream(PageStream(view).events())


class PageStream:
    """What one page has been told, and what it is told next."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._incidents: News[Incident] = News(view.incidents)
        self._captures = CaptureNews(view)
        self._kept: set[str] = set()
        self._agent: object = None
        self._targets: object = None
        self._rows: dict[tuple[str, str], WorkerRow] | None = None
        self._made_of: tuple[object, object] | None = None
        """The round and the incidents that the rows were made of."""
        self._fresh: dict[tuple[str, str], WorkerRow] = {}

    async def events(self) -> AsyncIterator[bytes]:
        """All there is, and then what has changed, once a second."""
        yield HEARTBEAT
        while True:
            quiet = True
            await self._make_rows()
            for name, read in (
                ("agent", self._agent_told),
                ("targets", self._targets_told),
                ("workers", self._workers_told),
                ("incidents", self._incidents_told),
                ("captures", self._captures.told),
                ("gone", self._gone_told),
            ):
                if told := event(name, read):
                    quiet = False
                    yield told
            if quiet:
                yield HEARTBEAT
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _make_rows(self) -> None:
        """Rows of the latest round, where they are not made of it already, with the stalls of this moment."""
        view = self._view
        made_of = view.sampled(), view.incidents()
        stuck = view.stalled()
        if self._made_of is not None and all(map(is_, self._made_of, made_of)):
            self._fresh = {place: _with_stall(row, stuck.get(place)) for place, row in self._fresh.items()}
            return
        targets, incidents = made_of
        counts = open_counts(incidents)
        fresh: dict[tuple[str, str], WorkerRow] = {}
        for target in targets:
            for worker in target.workers:
                place = target.name, worker.slot
                fresh[place] = self._row(worker, target, stuck.get(place), counts.get(place, NONE_OPEN))
                if len(fresh) % AT_A_TIME == 0:
                    await asyncio.sleep(0)
        self._fresh, self._made_of = fresh, made_of

    def _row(
        self,
        worker: WorkerSample,
        target: TargetSnapshot,
        stuck_seconds: float | None,
        still_open: dict[Severity, int],
    ) -> WorkerRow:
        view = self._view
        return worker_row(
            worker,
            target,
            recent=view.recent(worker),
            trend=view.memory_trend(worker),
            cpu_share=view.cpu_share(worker),
            stuck_seconds=stuck_seconds,
            still_open=still_open,
        )

    def _workers_told(self) -> object | None:
        before, self._rows = self._rows, self._fresh
        if before is None:
            return {"all": True, "rows": list(self._fresh.values()), "gone": []}
        changed = [row for place, row in self._fresh.items() if before.get(place) != row]
        gone = [f"{target}/{slot}" for target, slot in before.keys() - self._fresh.keys()]
        return {"all": False, "rows": changed, "gone": gone} if changed or gone else None

    def _agent_told(self) -> object | None:
        view = self._view
        agent = view.agent()
        now: dict[str, Any] = {
            "version": agent.version,
            "started_at": rfc3339(STARTED_AT),
            "problems": problems_of(agent, view.incidents()),
            "interval_seconds": round(agent.effective_interval_seconds, 1),
        }
        if now == self._agent:
            return None
        self._agent = now
        return now

    def _targets_told(self) -> object | None:
        now = [target_row(target, self._view.remedy(target.name).state) for target in self._view.sampled()]
        if now == self._targets:
            return None
        self._targets = now
        return now

    def _incidents_told(self) -> object | None:
        changed = self._incidents.changed()
        return [brief(each) for each in changed] if changed is not None else None

    def _gone_told(self) -> object | None:
        """Captures that were deleted, by somebody or to make room."""
        before, self._kept = self._kept, {each.id for each in self._view.captures.latest()}
        return sorted(before - self._kept) or None


def _with_stall(row: WorkerRow, stuck_seconds: float | None) -> WorkerRow:
    """The same row with the stall that its worker is in now."""
    if row.state not in ("up", "stuck") or (stuck_seconds is None and row.stuck_seconds is None):
        return row
    if stuck_seconds is None:
        return msgspec.structs.replace(row, state="up", stuck_seconds=None)
    return msgspec.structs.replace(row, state="stuck", stuck_seconds=round(stuck_seconds, 1))
