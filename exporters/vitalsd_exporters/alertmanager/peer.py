"""
Tells one Alertmanager what there is, in a task of its own: one that is slow or gone delays nobody else.

At most one connection at a time. What it refuses as wrong (400) is not asked again until the next interval, and
was not told; it may have taken the rest of such a message, so its halves are told, down to what is wrong. Anything
else is tried again, and what is wrong is logged once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import msgspec
import structlog

from vitalsd.settings.model import AlertmanagerPeer
from vitalsd_exporters.alertmanager.alert import Alert, Labels, Wording, message
from vitalsd_exporters.alertmanager.contact import reach_of
from vitalsd_exporters.alertmanager.outbox import Outbox
from vitalsd_exporters.push.reach import UnansweredError
from vitalsd_exporters.push.trouble import Trouble

__all__ = ["LASTS_INTERVALS", "Peer"]

log = structlog.get_logger(__name__)

LASTS_INTERVALS = 4
"""What Prometheus takes: two messages may be lost, and the alert goes on."""
MOST_IN_ONE = 64
"""Alerts in a message: some 100 KB."""
MOST_HALVED = 16
"""Messages that are told again by halves in a turn: two wrong alerts are found, and all wrong are no flood."""


class Peer:
    """One of them."""

    def __init__(
        self,
        settings: AlertmanagerPeer,
        told: Callable[[Alert], None],
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._reach = reach_of(settings)
        self._told = told
        """Told what it has taken while it fires."""
        self._clock = clock
        self._steady = steady
        self._outbox = Outbox(60.0)
        self._alerts: Mapping[Labels, Alert] = {}
        self._changed = asyncio.Event()
        self._trouble = Trouble()
        self.wording = Wording("")
        self.timeout_seconds = 10.0
        self.sent = self.failed = 0
        """Messages, and those of them that came to nothing."""

    @property
    def problem(self) -> str | None:
        """Why it could not be told last, if that is so."""
        return self._trouble.problem

    def pace(self, interval_seconds: float, timeout_seconds: float, wording: Wording) -> None:
        """How often, and how, it is told."""
        self._outbox.interval_seconds = interval_seconds
        self.timeout_seconds, self.wording = timeout_seconds, wording
        self._changed.set()

    def show(self, alerts: Mapping[Labels, Alert]) -> None:
        """What there is to be told now."""
        self._alerts = alerts
        self._changed.set()

    async def run(self) -> None:
        """Tell it, for ever."""
        while True:
            self._changed.clear()
            due = self._outbox.due(self._alerts, self._steady())
            if due and await self._tell(due):
                self._outbox.succeeded()
            wait = self._outbox.wait_seconds(self._alerts, self._steady())
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass

    @property
    def untold(self) -> int:
        """How many alerts it has not heard of as they are now."""
        return len(self._outbox.unsent(self._alerts))

    async def finish(self) -> None:
        """Tell it what it has not heard, whatever pause there would be; `run` has ended by then."""
        unsent = self._outbox.unsent(self._alerts)
        if unsent:
            await self._tell(unsent)

    async def _tell(self, due: list[Alert]) -> bool:
        """Send all of it, in as many messages as it takes; what follows one that fails is not sent."""
        left = deque(due[at : at + MOST_IN_ONE] for at in range(0, len(due), MOST_IN_ONE))
        halved = refused = 0
        while left:
            batch = left.popleft()
            status, problem = await self._send(batch)
            if problem is not None:
                self.failed += 1
                self._complain(problem)
                if status != 400:
                    self._put_off()
                    return False
                if len(batch) > 1 and halved < MOST_HALVED:
                    halved += 1
                    middle = len(batch) // 2
                    left.extendleft((batch[middle:], batch[:middle]))
                    continue
                refused += 1
            self._outbox.took(batch, self._steady())
            if problem is None:
                self._note(batch)
        if not refused and self._trouble.ends():
            log.info("notifications_taken_again", peer=self.settings.url)
        return True

    async def _send(self, batch: Iterable[Alert]) -> tuple[int, str | None]:
        """One message; the status of its answer, 0 without one, and what is wrong with it."""
        self.sent += 1
        try:
            answer = await self._reach.post(self._body(batch), self.timeout_seconds)
        except UnansweredError as error:
            return 0, str(error)
        except Exception as error:  # an agent does not end of a peer
            log.exception("notification_broke", peer=self.settings.url)
            return 0, type(error).__name__
        return answer.status, None if answer.status // 100 == 2 else f"it answers {answer.status} {answer.text}"

    def _note(self, taken: Iterable[Alert]) -> None:
        for alert in taken:
            if alert.ends_at is None:
                self._told(alert)

    def _put_off(self) -> None:
        seconds = self._outbox.failed(self._steady())
        log.debug("notification_retried", peer=self.settings.url, seconds=round(seconds, 1))

    def _complain(self, problem: str) -> None:
        if self._trouble.begins(problem):
            log.warning("notification_failed", peer=self.settings.url, reason=self._trouble.problem)

    def _body(self, batch: Iterable[Alert]) -> bytes:
        until = self._clock() + LASTS_INTERVALS * self._outbox.interval_seconds
        return msgspec.json.encode([message(alert, self.wording, until) for alert in batch])
