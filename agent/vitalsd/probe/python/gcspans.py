"""
Times every garbage collection by the interpreter's own callbacks, and looks at the heap right after a full one.

Costs two short calls per collection, CALLBACKS_SECONDS together.
"""

from __future__ import annotations

import gc
from time import monotonic

from . import layout

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BOUNDS = layout.GC_BOUNDS_SECONDS
CALLBACKS_SECONDS = 1.1e-6


class GcSpans:
    """Pauses of this process by generation."""

    def __init__(self, after_full: Callable[[], None]) -> None:
        self.seconds = 0.0
        """All pauses together."""
        self._after_full = after_full
        self._sums = [0.0] * layout.GC_GENERATIONS
        self._counts = [[0.0] * (len(BOUNDS) + 1) for _ in range(layout.GC_GENERATIONS)]
        self._began = 0.0
        self._failure: Exception | None = None
        self._told: tuple[float, list[float]] = (-1.0, [])
        gc.callbacks.append(self._callback)

    def _callback(self, phase: str, info: dict[str, Any]) -> None:
        now = monotonic()
        if phase == "start":
            self._began = now
            return
        began, self._began = self._began, 0.0
        if not began:
            return
        try:
            pause = now - began
            generation = info["generation"]
            self._sums[generation] += pause
            self._counts[generation][_bucket(pause)] += 1
            self.seconds += pause  # last: it tells that the others have changed
            if generation == layout.GC_GENERATIONS - 1:
                self._after_full()
        except Exception as error:
            self._failure = error.with_traceback(None)  # that would keep the service's frames alive
            self.stop()

    def check(self) -> None:
        """Raise what the callback has failed with, if it has: from then on the numbers stand still."""
        if self._failure is not None:
            raise self._failure

    @property
    def own_seconds(self) -> float:
        """What measuring has cost so far."""
        return sum(map(sum, self._counts)) * CALLBACKS_SECONDS

    def values(self) -> list[float]:
        """The fields of the segment's process record, generation by generation."""
        seconds = self.seconds
        if self._told[0] != seconds:
            values = [value for total, row in zip(self._sums, self._counts) for value in (total, *row)]
            self._told = seconds, values
        return self._told[1]

    def stop(self) -> None:
        """Take the callback out."""
        if self._callback in gc.callbacks:
            gc.callbacks.remove(self._callback)


def _bucket(pause: float) -> int:
    for index, bound in enumerate(BOUNDS):
        if pause <= bound:
            return index
    return len(BOUNDS)
