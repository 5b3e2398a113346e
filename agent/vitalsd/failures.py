"""
How often each error was logged since the agent began: a line may be lost or filtered, and its count is not.

One count for each event of level `error`, all there from the beginning; docs/log.md has what they mean. Costs a
microsecond per line.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, MutableMapping
from typing import Any

__all__ = ["EVENTS", "FAILURES", "Failures", "count_failure"]

EVENTS = (
    "alerts_not_made",
    "capture_broken",
    "census_failed",
    "config_reload_failed",
    "detector_failed",
    "engine_failed",
    "history_lost",
    "history_not_replayed",
    "looking_for_life_failed",
    "metrics_not_pushed",
    "metrics_part_failed",
    "notification_broke",
    "observer_failed",
    "remedy_failed",
    "request_failed",
    "sampling_failed",
    "store_damaged",
    "store_taken_away",
    "store_unavailable",
    "stream_reading_failed",
)


class Failures:
    """The counts; any thread may add to them."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._counts = dict.fromkeys(EVENTS, 0)

    def add(self, event: str) -> None:
        """Once more."""
        with self._turn:
            self._counts[event] = self._counts.get(event, 0) + 1

    def counts(self) -> Mapping[str, int]:
        """Event -> how often."""
        with self._turn:
            return dict(self._counts)


FAILURES = Failures()
"""There is one log in a process, so there is one of these."""


def count_failure(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog, behind what adds the level."""
    if event["level"] == "error":
        FAILURES.add(str(event["event"]))
    return event
