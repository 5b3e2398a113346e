"""
Tells one Alertmanager what there is, in a task of its own: one that is slow or gone delays nobody else.

At most one connection at a time. What it refuses as wrong (400) is not asked again until the next interval: it has
taken what was right of it. Anything else is tried again, and what is wrong is logged once.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable, Mapping

import h11
import msgspec
import structlog

from vitalsd.errors import VitalsdError
from vitalsd.settings.model import AlertmanagerPeer
from vitalsd_exporters.alertmanager.alert import Alert, Labels, Wording, message
from vitalsd_exporters.alertmanager.contact import alerts_of, find, needs_nobody
from vitalsd_exporters.alertmanager.outbox import Outbox
from vitalsd_exporters.push.aside import Aside
from vitalsd_exporters.push.contact import Contact
from vitalsd_exporters.push.post import Answer, post

__all__ = ["LASTS_INTERVALS", "Peer"]

log = structlog.get_logger(__name__)

LASTS_INTERVALS = 4
"""What Prometheus takes: two messages may be lost, and the alert goes on."""
MOST_IN_ONE = 64
"""Alerts in a message: some 100 KB."""
TOLD_LETTERS = 300


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
        self._place = alerts_of(settings.url)
        self._told = told
        """Told what it has taken while it fires."""
        self._clock = clock
        self._steady = steady
        self._outbox = Outbox(60.0)
        self._alerts: Mapping[Labels, Alert] = {}
        self._changed = asyncio.Event()
        self._aside: Aside[Contact] = Aside()
        self._tls: ssl.SSLContext | None = None
        self._complained = False
        self.wording = Wording("")
        self.timeout_seconds = 10.0
        self.sent = self.failed = 0
        """Messages, and those of them that came to nothing."""
        self.problem: str | None = None
        """Why it could not be told last, if that is so."""

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

    async def _tell(self, due: list[Alert]) -> bool:
        """Send all of it, in as many messages as it takes; what follows one that fails is not sent."""
        for at in range(0, len(due), MOST_IN_ONE):
            batch = due[at : at + MOST_IN_ONE]
            problem = await self._send(batch)
            if problem is not None:
                self._fail(problem)
                return False
            self._outbox.took(batch, self._steady())
            for alert in batch:
                if alert.ends_at is None:
                    self._told(alert)
        return True

    async def _send(self, batch: Iterable[Alert]) -> str | None:
        """One message; what was in the way."""
        self.sent += 1
        try:
            async with asyncio.timeout(self.timeout_seconds):
                answer = await post(self._place, await self._contact(), self._body(batch))
        except TimeoutError:
            return f"it has not answered within {self.timeout_seconds:g} s"
        except (OSError, h11.ProtocolError, VitalsdError) as error:
            if isinstance(error, ssl.SSLError):
                self._tls = None  # its files may be others by then
            return _one_line(str(getattr(error, "strerror", None) or error) or type(error).__name__)
        except Exception as error:  # an agent does not end of a peer
            log.exception("notification_broke", peer=self.settings.url)
            return type(error).__name__
        return self._judged(answer)

    def _judged(self, answer: Answer) -> str | None:
        if answer.status // 100 == 2:
            if self.problem is not None:
                log.info("notifications_taken_again", peer=self.settings.url)
            self.problem, self._complained = None, False
            return None
        said = _one_line(f"it answers {answer.status} {answer.text}".strip())
        if answer.status != 400:
            return said
        # It has taken what is right of it, and would refuse the rest again.
        self.failed += 1
        self._complain(said)
        return None

    def _fail(self, problem: str) -> None:
        self.failed += 1
        seconds = self._outbox.failed(self._steady())
        self._complain(problem)
        log.debug("notification_retried", peer=self.settings.url, seconds=round(seconds, 1))

    def _complain(self, problem: str) -> None:
        """Once, until it is well again."""
        if not self._complained:
            log.warning("notification_failed", peer=self.settings.url, reason=problem)
        self.problem, self._complained = problem, True

    async def _contact(self) -> Contact:
        if needs_nobody(self.settings, self._place):
            return Contact((self._place.host,))
        tls = self._tls
        contact = await self._aside.run(lambda: find(self.settings, self._place, tls))
        self._tls = contact.tls
        return contact

    def _body(self, batch: Iterable[Alert]) -> bytes:
        until = self._clock() + LASTS_INTERVALS * self._outbox.interval_seconds
        return msgspec.json.encode([message(alert, self.wording, until) for alert in batch])


def _one_line(text: str) -> str:
    return " ".join(text.split())[:TOLD_LETTERS]
