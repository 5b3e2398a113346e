"""
The rows of the latest round of sampling, made once for however many pages are open.

Of 500 workers 10 ms of the agent's loop for each round, in slices of 1 ms, and 0.1 ms each second between; nothing
at all while no page is open.
"""

from __future__ import annotations

import asyncio
from operator import is_
from typing import TYPE_CHECKING

import msgspec

from vitalsd_exporters.web.page.rows import NONE_OPEN, WorkerRow, open_counts, worker_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vitalsd.model import Incident, Severity, TargetSnapshot, WorkerSample
    from vitalsd_exporters.state import View

__all__ = ["Place", "RowBook"]

Place = tuple[str, str]
"""Target and slot."""
AT_A_TIME = 50
"""Rows that are made before others have their turn in the loop."""


class RowBook:
    """Rows by target and slot."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._rows: dict[Place, WorkerRow] = {}
        self._made_of: tuple[object, object] | None = None
        """The round and the incidents that they were made of."""
        self._making = asyncio.Lock()

    async def rows(self) -> dict[Place, WorkerRow]:
        """All of them as they are now; a row that has not changed may be the same object."""
        async with self._making:
            made_of = self._view.sampled(), self._view.incidents()
            if self._made_of is None or not all(map(is_, self._made_of, made_of)):
                self._rows = await self._made(*made_of)
                self._made_of = made_of
        stalled = self._view.stalled()
        self._rows = {place: _with_stall(row, stalled.get(place)) for place, row in self._rows.items()}
        return self._rows

    async def _made(
        self, targets: tuple[TargetSnapshot, ...], incidents: tuple[Incident, ...]
    ) -> dict[Place, WorkerRow]:
        counts = open_counts(incidents)
        made: dict[Place, WorkerRow] = {}
        for target in targets:
            for worker in target.workers:
                place = target.name, worker.slot
                made[place] = self._row(worker, target, counts.get(place, NONE_OPEN))
                if len(made) % AT_A_TIME == 0:
                    await asyncio.sleep(0)
        return made

    def _row(self, worker: WorkerSample, target: TargetSnapshot, still_open: Mapping[Severity, int]) -> WorkerRow:
        view = self._view
        return worker_row(
            worker,
            target,
            recent=view.recent(worker),
            trend=view.memory_trend(worker),
            cpu_share=view.cpu_share(worker),
            still_open=still_open,
        )


def _with_stall(row: WorkerRow, seconds: float | None) -> WorkerRow:
    """The same row with the stall that its worker is in now."""
    if row.state not in ("up", "stalled") or (seconds is None and row.stalled_seconds is None):
        return row
    if seconds is None:
        return msgspec.structs.replace(row, state="up", stalled_seconds=None)
    return msgspec.structs.replace(row, state="stalled", stalled_seconds=round(seconds, 1))
