"""
Who could not serve until a moment ago: loops that were late by more than `health.max_delay`, and have come back.

Heard from the observer, so that whoever asks between two stalls hears of both. Costs nothing but for those.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from vitalsd.model import Recovering, StallEvidence, WorkerKey, is_for_computing
from vitalsd.settings.model import Health

__all__ = ["Recoveries"]


class Recoveries:
    """Those of all workers. Its methods belong to the agent's loop."""

    def __init__(
        self,
        health: Health,
        late: Callable[[WorkerKey], Iterable[StallEvidence]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.health = health
        self._late = late
        self._clock = clock
        self._ended: dict[WorkerKey, StallEvidence] = {}

    def ended(self, key: WorkerKey, evidence: StallEvidence) -> None:
        """A loop has come back."""
        if self._matters(evidence):
            self._ended[key] = evidence

    def of(self, key: WorkerKey) -> Recovering | None:
        """The stall that has ended less than `health.recovered_after` ago; its end may be yet to be seen."""
        now, after = self._clock(), self.health.recovered_after
        ended = self._ended.get(key)
        if ended is not None:
            left = ended.since + ended.seconds + after - now
            if left > 0:
                return Recovering(ended.loop, ended.seconds, left)
            del self._ended[key]
        if after == 0:
            return None
        late = (each for each in self._late(key) if self._matters(each))
        return next((Recovering(each.loop, each.seconds, after) for each in late), None)

    def _matters(self, evidence: StallEvidence) -> bool:
        return evidence.seconds > self.health.max_delay and not is_for_computing(evidence.runtime, evidence.loop)

    def keep(self, keys: set[WorkerKey]) -> None:
        """Forget whoever is gone."""
        self._ended = {key: evidence for key, evidence in self._ended.items() if key in keys}
