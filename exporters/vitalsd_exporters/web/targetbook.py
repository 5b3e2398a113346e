"""
The targets as the API tells them, made once for however many listen.

Of 500 workers 100 ms of the agent's loop, in slices, and 1.5 MB: for each second in which somebody listens, or for
one request. Nothing is kept while nobody does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from vitalsd_exporters.web.slices import Slices
from vitalsd_exporters.web.targets import told_target, worker_as_json

if TYPE_CHECKING:
    from vitalsd_exporters.state import View

__all__ = ["TargetBook"]

KEPT_SECONDS = 2.0


class TargetBook:
    """`{"targets": [...]}`, as bytes."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._made = b""
        self._made_at = float("-inf")
        """When the targets that it was made of were read."""
        self._making = asyncio.Lock()
        self._forgetting: asyncio.TimerHandle | None = None

    async def encoded(self, oldest_seconds: float = 0.0) -> bytes:
        """All targets as they were so long before this call, or are by now."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - oldest_seconds
        async with self._making:
            if not self._made or self._made_at < oldest:
                began = loop.time()
                self._made = await self._encoded()
                self._made_at = began
                if self._forgetting is not None:
                    self._forgetting.cancel()
                self._forgetting = loop.call_later(KEPT_SECONDS, self._forget)
            return self._made

    async def _encoded(self) -> bytes:
        self._view.look_closely()
        slices = Slices()
        told = []
        for target in self._view.targets():
            workers = []
            for worker in target.workers:
                workers.append(msgspec.Raw(msgspec.json.encode(worker_as_json(self._view, worker))))
                await slices.turn()
            told.append(told_target(self._view, target, workers))
        return msgspec.json.encode({"targets": told})

    def _forget(self) -> None:
        self._made = b""
