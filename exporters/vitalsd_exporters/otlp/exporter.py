"""
Pushes what a scrape of the Prometheus port would show, once an interval, to one collector.

Does nothing without `endpoint`, and has nothing of it in memory: what it takes is loaded when there is one. On the
agent's loop it costs what gathering a scrape costs; the message is made in a thread, and sent by a task that
nobody waits for.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Otlp
from vitalsd_exporters.otlp.tally import Tally
from vitalsd_exporters.prometheus.collector import VitalsCollector
from vitalsd_exporters.push.aside import Aside
from vitalsd_exporters.state import Exported, View

if TYPE_CHECKING:
    from vitalsd_exporters.otlp.encode import Made
    from vitalsd_exporters.otlp.sender import Sender
    from vitalsd_exporters.otlp.starts import Starts

__all__ = ["Exporter"]

log = structlog.get_logger(__name__)


class Exporter:
    """The one there is."""

    def __init__(
        self,
        view: View,
        settings: Otlp,
        *,
        port: int = 0,
        host: str | None = None,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._view = view
        self._settings = settings
        self._host = host or socket.gethostname()
        self._agent = f"{self._host}:{port}"
        self._clock = clock
        self._draw = draw
        # Not later than the agent's own counters begin: it has computed for no longer than it has lived.
        self._started_at = clock() - time.process_time()
        self._collector = VitalsCollector(view)
        self._aside: Aside[Made] = Aside()
        self._starts: Starts | None = None
        self._tally = Tally()
        self._changed = asyncio.Event()

    def reconfigure(self, settings: Otlp) -> None:
        """Go by these from now on."""
        if settings != self._settings:
            self._settings = settings
            self._changed.set()

    def counts(self) -> Exported | None:
        """How it went; None while nothing is pushed anywhere."""
        if self._settings.endpoint is None:
            return None
        tally = self._tally
        counts = tally.sent, tally.failed, tally.dropped_points
        return Exported(self._settings.endpoint, *counts, tally.trouble.problem)

    async def run(self) -> None:
        """Push, for ever."""
        while True:
            self._changed.clear()
            if self._settings.endpoint is None:
                await self._changed.wait()
                continue
            self._tally.trouble.problem = None
            async with asyncio.TaskGroup() as tasks:
                pushing = tasks.create_task(self._push(self._settings))
                await self._changed.wait()
                pushing.cancel()

    async def _push(self, settings: Otlp) -> None:
        """To one collector; the first time at some moment of the first interval, since agents start together."""
        sender: Sender | None = None
        due = time.monotonic() + settings.interval * self._draw()
        while True:
            await asyncio.sleep(due - time.monotonic())
            due = max(due, time.monotonic() - settings.interval) + settings.interval
            try:
                if not self._view.ready():
                    continue
                made = await self._make()
                if sender is None:
                    from vitalsd_exporters.otlp.sender import Sender

                    sender = Sender(settings, self._tally, self._draw)
                await sender.deliver(made, due)
            except VitalsdError as error:
                log.warning("metrics_not_pushed", reason=str(error))
            except Exception:  # an agent does not end of what it pushes
                log.exception("metrics_not_pushed")

    async def _make(self) -> Made:
        """Gather on the loop, which owns what is told; the rest is done beside it."""
        families = list(self._collector.collect())
        now, steady = self._clock(), time.clock_gettime(time.CLOCK_BOOTTIME)

        def make() -> Made:
            from vitalsd_exporters.otlp.encode import Moment, encode
            from vitalsd_exporters.otlp.starts import Starts

            if self._starts is None:
                self._starts = Starts()
            return encode(families, self._starts, Moment(now, steady, self._started_at, self._host, self._agent))

        return await self._aside.run(make)
