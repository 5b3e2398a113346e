"""
Has one collector take one export: tries until it is taken, is refused, or the next one is due.

At most one message is in memory, and one connection open: since everything is cumulative, what comes next says
what was lost too, only coarser. What may pass (429, 502, 503, 504, nobody there, no answer in time) is tried again
after longer and longer pauses, never quite the same, or after the one that the collector asks for; anything else
is dropped at once. Each is counted, and logged once until it is well again.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

import h11
import structlog

from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Otlp
from vitalsd_exporters.otlp.contact import find, metrics_of, needs_nobody
from vitalsd_exporters.otlp.encode import Made, rejected
from vitalsd_exporters.otlp.tally import Tally
from vitalsd_exporters.push.aside import Aside
from vitalsd_exporters.push.contact import Contact, Headers
from vitalsd_exporters.push.post import Answer, post

__all__ = ["Sender", "seconds_asked_for"]

log = structlog.get_logger(__name__)

MAY_PASS = (429, 502, 503, 504)
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
LONGEST_ASKED_SECONDS = 900.0
"""A collector may ask for more, and gets no more than this."""
TOLD_LETTERS = 300
PROTOBUF: Headers = (("Content-Type", "application/x-protobuf"), ("Content-Encoding", "gzip"))


class Sender:
    """To one collector, as one configuration has it."""

    def __init__(
        self,
        settings: Otlp,
        tally: Tally,
        draw: Callable[[], float] = random.random,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        assert settings.endpoint is not None
        self._settings = settings
        self._tally = tally
        self._draw = draw
        self._steady = steady
        self._place = metrics_of(settings.endpoint)
        self._aside: Aside[Contact] = Aside()
        self._tls: ssl.SSLContext | None = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._not_before = float("-inf")

    async def deliver(self, made: Made, until: float) -> None:
        """Have it taken before `until`, or drop it."""
        while self._not_before < until:
            await asyncio.sleep(max(0.0, self._not_before - self._steady()))
            if await self._send(made):
                return
        self._tally.dropped_points += made.points

    async def _send(self, made: Made) -> bool:
        """One request; whether that is the end of it."""
        self._tally.sent += 1
        try:
            async with asyncio.timeout(self._settings.timeout):
                answer = await post(self._place, await self._contact(), made.body, PROTOBUF)
        except TimeoutError:
            return self._put_off(f"it has not answered within {self._settings.timeout:g} s")
        except (OSError, h11.ProtocolError, VitalsdError) as error:
            if isinstance(error, ssl.SSLError):
                self._tls = None  # its files may be others by then
            return self._put_off(str(getattr(error, "strerror", None) or error) or type(error).__name__)
        if answer.status // 100 == 2:
            self._taken(answer)
            return True
        said = f"it answers {answer.status} {answer.text}".strip()
        if answer.status in MAY_PASS:
            return self._put_off(said, seconds_asked_for(answer.retry_after, time.time()))
        self._tally.failed += 1
        self._tally.dropped_points += made.points
        self._complain(said)
        return True

    def _taken(self, answer: Answer) -> None:
        self._retry_seconds = FIRST_RETRY_SECONDS
        count, why = rejected(answer.body)
        if count:
            self._tally.dropped_points += count
            self._complain(f"it has not taken {count} points: {why or 'it does not say why'}")
            return
        if self._tally.problem is not None:
            log.info("metrics_taken_again", endpoint=self._settings.endpoint)
        self._tally.problem = None

    def _put_off(self, problem: str, asked_seconds: float | None = None) -> bool:
        self._tally.failed += 1
        self._complain(problem)
        pause = self._retry_seconds * (0.5 + self._draw() / 2) if asked_seconds is None else asked_seconds
        self._not_before = self._steady() + pause
        longest = min(LONGEST_RETRY_SECONDS, self._settings.interval)
        self._retry_seconds = max(FIRST_RETRY_SECONDS, min(2 * self._retry_seconds, longest))
        log.debug("metrics_retried", endpoint=self._settings.endpoint, seconds=round(pause, 1))
        return False

    def _complain(self, problem: str) -> None:
        """Once, until it is well again."""
        told = " ".join(problem.split())[:TOLD_LETTERS]
        if self._tally.problem is None:
            log.warning("metrics_not_taken", endpoint=self._settings.endpoint, reason=told)
        self._tally.problem = told

    async def _contact(self) -> Contact:
        if needs_nobody(self._settings, self._place):
            return Contact((self._place.host,))
        tls = self._tls
        contact = await self._aside.run(lambda: find(self._settings, self._place, tls))
        self._tls = contact.tls
        return contact


def seconds_asked_for(retry_after: str | None, now: float) -> float | None:
    """What `Retry-After` says at unix time `now`, in seconds or as a date; None where it says nothing."""
    if retry_after is None:
        return None
    try:
        seconds: float = int(retry_after)  # compared as it is: hundreds of digits are no float
    except ValueError:
        try:
            at = parsedate_to_datetime(retry_after)
            seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), LONGEST_ASKED_SECONDS)
