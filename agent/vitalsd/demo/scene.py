"""
What every scene of the tour works with: one worker, the switches of its faults, and what the agent tells since.

A scene polls until it sees what it waits for, or says after its deadline what it did not see.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from vitalsd.demo.observe import Agent, Worker, culprit, fetch, loops, percentile
from vitalsd.demo.worker import HOST
from vitalsd.times import rfc3339

__all__ = ["NotSeenError", "Scene"]

Seen = TypeVar("Seen")

PATIENCE_SECONDS = 10.0
LOOK_SECONDS = 0.1


class NotSeenError(Exception):
    """What a scene waited for in vain."""


class Scene:
    """The worker of `target` on `port`, which the agent shows under `slot`."""

    def __init__(self, agent: Agent, target: str, port: int, slot: str) -> None:
        self.agent = agent
        self.target = target
        self.slot = slot
        self._port = port
        self._labels = {"target": target, "worker": slot}
        self._before = self._now = agent.metrics()
        self._began = rfc3339(time.time())

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
        for worker in self.agent.workers(self.target):
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

    def stalled(self, function: str) -> float | None:
        """How long a stall in `function` took that is over."""
        for loop in loops(self.worker()):
            for stall in loop["recent_stalls"]:
                if culprit(stall["stacks"]) == function:
                    return float(stall["duration_seconds"])
        return None

    def stalls(self, function: str) -> float | None:
        """How long a stall in `function` has taken that lasts."""
        for loop in loops(self.worker()):
            stall = loop["current_stall"]
            if stall is not None and culprit(stall["stacks"]) == function:
                return float(stall["seconds"])
        return None

    def incident(self, kind: str, cause: str | None = None, function: str | None = None) -> str | None:
        """
        What the agent says of one since then, with what to do; of this cause and culprit, where given.

        It may be of all workers together, where the host is to blame.
        """
        for incident in self.agent.incidents(self.target):
            blamed = incident["culprit"] and incident["culprit"]["function"]
            fits = incident["kind"] == kind and incident["worker"] in (self.slot, "")
            fits = fits and cause in (None, incident["cause"]) and function in (None, blamed)
            fits = fits and incident["updated_at"] > self._began
            if fits and "so far" not in incident["summary"]:  # it is over, and all of it is told
                return str(incident["summary"])
        return None

    def stall(self, cause: str, function: str | None = None) -> str:
        """
        The incident of a stall in a sentence, as soon as there is one of this cause and culprit.

        On a host that is too busy nobody may come to take a stack, or that is the cause: after a while it is told
        whatever the agent makes of it.
        """
        enough = time.monotonic() + PATIENCE_SECONDS

        def look() -> str | None:
            found = self.incident("stall", cause, function)
            return found or (self.incident("stall") if time.monotonic() > enough else None)

        named = f" that names {function}()" if function is not None else ""
        return self.wait_for(f"an incident of cause {cause}{named}", look, 4 * PATIENCE_SECONDS)

    def replaced(self, dead: int) -> int | None:
        """The process that is in the place of `dead`, once its probe tells of it."""
        worker = self.worker()
        is_new = worker["up"] and worker["key"]["pid"] != dead and loops(worker)
        return int(worker["key"]["pid"]) if is_new else None
