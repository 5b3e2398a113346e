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
import time
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

import structlog

from vitalsd.settings.model import Otlp
from vitalsd_exporters.otlp.contact import reach_of
from vitalsd_exporters.otlp.encode import Made, rejected
from vitalsd_exporters.otlp.tally import Tally
from vitalsd_exporters.push.contact import Headers
from vitalsd_exporters.push.pauses import Pauses
from vitalsd_exporters.push.post import Answer
from vitalsd_exporters.push.reach import UnansweredError

__all__ = ["Sender", "seconds_asked_for"]

log = structlog.get_logger(__name__)

MAY_PASS = (429, 502, 503, 504)
LONGEST_ASKED_SECONDS = 900.0
"""A collector may ask for more, and gets no more than this."""
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
        self._steady = steady
        self._reach = reach_of(settings, settings.endpoint)
        self._pauses = Pauses(draw)
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
            answer = await self._reach.post(made.body, self._settings.timeout, PROTOBUF)
        except UnansweredError as error:
            return self._put_off(str(error))
        if answer.status // 100 == 2:
            self._taken(answer)
            return True
        said = f"it answers {answer.status} {answer.text}"
        if answer.status in MAY_PASS:
            return self._put_off(said, seconds_asked_for(answer.retry_after, time.time()))
        self._tally.failed += 1
        self._tally.dropped_points += made.points
        self._complain(said)
        return True

    def _taken(self, answer: Answer) -> None:
        self._pauses.after_success()
        count, why = rejected(answer.body)
        if count:
            self._tally.dropped_points += count
            self._complain(f"it has not taken {count} points: {why or 'it does not say why'}")
        elif self._tally.trouble.ends():
            log.info("metrics_taken_again", endpoint=self._settings.endpoint)

    def _put_off(self, problem: str, asked_seconds: float | None = None) -> bool:
        self._tally.failed += 1
        self._complain(problem)
        pause = self._pauses.after_failure(self._settings.interval)
        pause = pause if asked_seconds is None else asked_seconds
        self._not_before = self._steady() + pause
        log.debug("metrics_retried", endpoint=self._settings.endpoint, seconds=round(pause, 1))
        return False

    def _complain(self, problem: str) -> None:
        trouble = self._tally.trouble
        if trouble.begins(problem):
            log.warning("metrics_not_taken", endpoint=self._settings.endpoint, reason=trouble.problem)


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
