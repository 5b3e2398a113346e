"""
What one Alertmanager is to be sent next, and when: what is new to it at once, the rest once in an interval.

When it fails, all of it is new to it again, since it may come back without what it had; until then it is asked
after longer and longer pauses, never quite the same, so that a hundred agents do not come back at once. Pure
and told a clock that is never set. Remembers a number for each alert there is now.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping

from vitalsd_exporters.alertmanager.alert import Alert, Labels
from vitalsd_exporters.push.pauses import Pauses

__all__ = ["Outbox"]

NEVER: tuple[float | None, float] = None, float("-inf")


class Outbox:
    """Of one Alertmanager."""

    def __init__(self, interval_seconds: float, draw: Callable[[], float] = random.random) -> None:
        self.interval_seconds = interval_seconds
        self._sent: dict[Labels, tuple[float | None, float]] = {}
        """What it was last told of its end, and when."""
        self._pauses = Pauses(draw)
        self._retry_at = float("-inf")

    def due(self, alerts: Mapping[Labels, Alert], now: float) -> list[Alert]:
        """What to send now."""
        self._sent = {labels: sent for labels, sent in self._sent.items() if labels in alerts}
        if now < self._retry_at:
            return []
        due_at = {labels: self._due_at(alert) for labels, alert in alerts.items()}
        if not any(at <= now for at in due_at.values()):
            return []
        # What would follow soon comes along.
        return [alerts[labels] for labels, at in due_at.items() if at - self.interval_seconds / 2 <= now]

    def unsent(self, alerts: Mapping[Labels, Alert]) -> list[Alert]:
        """What it was not told as it is now; after a failure that is everything."""
        return [alert for alert in alerts.values() if self._due_at(alert) == float("-inf")]

    def took(self, alerts: Iterable[Alert], now: float) -> None:
        """It has these now."""
        self._sent |= {alert.labels: (alert.ends_at, now) for alert in alerts}

    def succeeded(self) -> None:
        """It has all that was due."""
        self._pauses.after_success()

    def failed(self, now: float) -> float:
        """It could not be told; the answer is in how many seconds it is tried again."""
        self._sent.clear()
        pause = self._pauses.after_failure(self.interval_seconds)
        self._retry_at = now + pause
        return pause

    def wait_seconds(self, alerts: Mapping[Labels, Alert], now: float) -> float | None:
        """In how long something is due if nothing changes; None: never."""
        if not alerts:
            return None
        return max(0.0, min(map(self._due_at, alerts.values())) - now, self._retry_at - now)

    def _due_at(self, alert: Alert) -> float:
        ends_at, at = self._sent.get(alert.labels, NEVER)
        return at + self.interval_seconds if ends_at == alert.ends_at else float("-inf")
