"""What captures ask of the rest of the agent: the worker as it is, how late its loops are, whom to tell."""

from __future__ import annotations

from typing import Protocol

from vitalsd.capture.engines.registry import Subject
from vitalsd.capture.model import Capture
from vitalsd.model import WorkerKey

__all__ = ["Surroundings"]


class Surroundings(Protocol):
    """The rest of the agent, as captures see it."""

    def subject(self, target: str, worker: str | None) -> Subject:
        """The worker as it is now, the first that is up where none is named; raises NotFound."""
        ...

    def late_seconds(self, key: WorkerKey) -> float | None:
        """For how long a loop of this worker has been late; None where none is."""
        ...

    def busy_share(self, subject: Subject) -> float | None:
        """Of the last minute, of the loop of this worker that is busiest; None where it has none that is known."""
        ...

    def agent_late_seconds(self, seconds: float) -> float:
        """By how much the agent itself was late in this time, at the most."""
        ...

    def captured(self, capture: Capture) -> None:
        """What was asked for has ended, one way or another."""
        ...
