"""An engine that does what a test says."""

from __future__ import annotations

import asyncio

from vitalsd.capture.engines.registry import Fit, Job, Made, Subject
from vitalsd.capture.model import CaptureKind

__all__ = ["FakeEngine"]


class FakeEngine:
    """Writes one file when it is let; what it does beyond that, a test says."""

    def __init__(
        self, name: str = "fake", kind: CaptureKind = "cpu", rank: int = 0, fit: Fit | None = None
    ) -> None:
        self.name, self.kind, self.rank = name, kind, rank
        self.answer = fit or Fit(True, "it can")
        self.error: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()
        self.began = asyncio.Event()
        self.undone = False
        self.jobs: list[Job] = []
        self.pause_seconds = 0.001
        self.at_once = self.most_at_once = 0

    def fit(self, _subject: Subject) -> Fit:
        """As a test has set it."""
        return self.answer

    async def take(self, job: Job) -> Made:
        """Wait for the test, and write."""
        self.jobs.append(job)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.began.set()
        try:
            (job.folder / "half").write_text("not whole")
            stopping = asyncio.ensure_future(job.stop.wait())
            going = asyncio.ensure_future(self.go.wait())
            await asyncio.wait({stopping, going}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            going.cancel()
            if self.error is not None:
                raise self.error
            (job.folder / "profile.txt").write_text("early" if job.stop.is_set() else "whole")
            return Made({"profile.txt": "text/plain"}, self.pause_seconds, {"top_functions": [{"function": "f"}]})
        except asyncio.CancelledError:
            self.undone = True
            raise
        finally:
            self.at_once -= 1
