"""
What becomes of a capture, written down: in the ledger, in the log, in the counts, and told to whom it concerns.

Costs one line in the log and one row for each change. All methods belong to the thread of the agent's loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import structlog
from msgspec.structs import replace

from vitalsd.capture.ledger import Ledger
from vitalsd.capture.model import Capture, CaptureCounts, CaptureKind, Refusal, RefusalWord
from vitalsd.capture.surroundings import Surroundings
from vitalsd.model import WorkerKey
from vitalsd.targets.processes import has_gone

__all__ = ["Outcomes", "keys_of"]

log = structlog.get_logger(__name__)


class Outcomes:
    """The state of each capture, and what was counted of all of them."""

    def __init__(self, around: Surroundings, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._around = around
        self._ledger = ledger
        self._clock = clock
        self._taken: Counter[tuple[str, CaptureKind]] = Counter()
        self._failed: Counter[tuple[str, CaptureKind]] = Counter()
        self._refused: Counter[tuple[str, CaptureKind, RefusalWord]] = Counter()
        self._pauses: dict[tuple[str, CaptureKind], float] = {}

    def counts(self) -> CaptureCounts:
        """For the metrics."""
        return CaptureCounts(self._taken, self._failed, self._refused, self._pauses)

    def known(self, name: str) -> Capture:
        """One that waits or runs, as it is now."""
        capture = self._ledger.one(name)
        assert capture is not None, f"capture {name} has been forgotten while it was active"
        return capture

    def put(self, capture: Capture) -> Capture:
        """It is so now."""
        self._ledger.put(capture)
        return capture

    def done(self, capture: Capture) -> Capture:
        """It was taken."""
        self._taken[capture.target, capture.kind] += 1
        if capture.pause_seconds is not None:
            self._pauses[capture.target, capture.kind] = capture.pause_seconds
        return self._end(capture)

    def refused(self, capture: Capture, why: Refusal) -> Capture:
        """It was not begun."""
        self._refused[capture.target, capture.kind, why.word] += 1
        told = {"problem": why.sentence, "refusal": why.word, "retry_after_seconds": why.retry_after_seconds}
        return self._end(replace(capture, state="refused", ended_at=self._clock(), **told))

    def failed(self, name: str, key: WorkerKey, problem: str, *, word: RefusalWord | None) -> Capture:
        """It came to nothing; `word` says whose fault it was where that is not the engine's."""
        capture = self.known(name)
        self._failed[capture.target, capture.kind] += 1
        whose = "gone" if has_gone(Path("/proc"), key) else word
        told = {"problem": problem, "refusal": whose}
        return self._end(replace(capture, state="failed", ended_at=self._clock(), **told))

    def cancelled(self, name: str, *, closing: bool = False) -> Capture:
        """Somebody has cancelled it, or the agent has ended."""
        capture = replace(self.known(name), ended_at=self._clock())
        if closing:
            ended = "the agent has ended"
            return self._end(replace(capture, state="failed", refusal="closed", problem=ended))
        return self._end(replace(capture, state="cancelled"))

    def _end(self, capture: Capture) -> Capture:
        self.put(capture)
        _tell(capture)
        self._around.captured(capture)
        return capture


def _tell(capture: Capture) -> None:
    """How it has ended; that somebody has cancelled it (`capture_cancelled`) is told with who that was."""
    told = {**keys_of(capture), "reason": capture.harm or capture.problem}
    if capture.state == "failed":
        log.warning("capture_failed", **told)
    elif capture.state == "refused":
        log.warning("capture_refused", **told)
    elif capture.state == "cancelled":
        log.info("capture_dropped", **told)
    else:
        tell = log.warning if capture.harm else log.info
        tell("capture_done", **told)


def keys_of(capture: Capture) -> dict[str, object]:
    """For the log."""
    return {
        "id": capture.id,
        "target": capture.target,
        "worker": capture.worker,
        "kind": capture.kind,
        "engine": capture.engine,
        "asked_by": capture.asked_by,
    }
