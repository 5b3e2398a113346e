"""
What every scene of the tour works with: one worker, the switches of its faults, and what changed since it began.

A scene polls until it sees what it waits for, or says after its deadline what it did not see.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from vitalsd.demo.observe import TARGET, Agent, Worker, fetch, percentile
from vitalsd.demo.worker import HOST

__all__ = ["NotSeenError", "Scene"]

Seen = TypeVar("Seen")

PATIENCE_SECONDS = 10.0
LOOK_SECONDS = 0.1


class NotSeenError(Exception):
    """What a scene waited for in vain."""


class Scene:
    """The worker on `port`, which the agent shows under `slot`."""

    def __init__(self, agent: Agent, port: int, slot: str) -> None:
        self.agent = agent
        self.slot = slot
        self._port = port
        self._labels = {"target": TARGET, "worker": slot}
        self._before = self._now = agent.metrics()

    def switch_on(self, fault: str, seconds: float) -> None:
        """Ask the worker for a fault."""
        fetch(HOST, self._port, f"/fault/{fault}?seconds={seconds:g}")

    def calm(self) -> None:
        """End the faults once the worker answers: it may be stuck, or only about to come back."""
        self.wait_for("an answer of the worker", self._is_calmed)

    def _is_calmed(self) -> bool:
        try:
            return fetch(HOST, self._port, "/fault/calm")[0] == HTTPStatus.OK
        except OSError:
            return False

    def wait_for(self, what: str, look: Callable[[], Seen | None], seconds: float = PATIENCE_SECONDS) -> Seen:
        """The first answer of `look` that says something; what it reads of the metrics is of one scrape."""
        deadline = time.monotonic() + seconds
        while True:
            self._now = self.agent.metrics()
            if seen := look():
                return seen
            if time.monotonic() > deadline:
                raise NotSeenError(f"{what}, within {seconds:g} s")
            time.sleep(LOOK_SECONDS)

    def worker(self) -> Worker:
        """The worker as the API tells of it now."""
        for worker in self.agent.workers():
            if worker["slot"] == self.slot:
                return worker
        raise NotSeenError(f"slot {self.slot} is not there any more")

    def value(self, name: str, **labels: str) -> float | None:
        """A metric of the worker at the last look; None when it is not known."""
        return self._now.value(name, **self._labels, **labels)

    def was(self, name: str, **labels: str) -> float:
        """The same at the beginning of the scene."""
        return self._before.value(name, **self._labels, **labels) or 0.0

    def growth(self, name: str, **labels: str) -> float:
        """How much the metric has grown since then; 0 when it is not known."""
        now = self.value(name, **labels)
        return 0.0 if now is None else now - self.was(name, **labels)

    def quantile(self, share: float, name: str, **labels: str) -> float:
        """The quantile of what a histogram of the worker has counted since then."""
        before = self._before.buckets(name, **self._labels, **labels)
        return percentile(share, before, self._now.buckets(name, **self._labels, **labels))
