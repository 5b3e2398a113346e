"""
The live words of all probes, read one after the other each time that all loops are looked at.

Most looks come to no more. What is being written belongs to a loop that turns; one that rests leaves its words as
they are, and what they came to holds for as long.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from vitalsd.segment.reader import LIVE_AT, LIVE_BYTES
from vitalsd.sources.observer.probed import Probed, calm_until_by
from vitalsd.sources.observer.watch import Watch

__all__ = ["Glance"]


class Glance:
    """At those probes whose files are open."""

    def __init__(self, watches: Sequence[Probed]) -> None:
        self._watches = watches
        self._files = [watch.descriptor for watch in watches]
        self._read = [b""] * len(watches)
        self._calm_until = [0.0] * len(watches)
        """CLOCK_MONOTONIC until which none of its loops can be late while its words are still these."""
        self._nodes = [place for place, watch in enumerate(watches) if watch.runtime == "node"]
        """Those whose words do not tell that they are stopped."""

    def not_calm(self, now: float, restless: Collection[Watch]) -> list[Watch]:
        """Those of whom it is not sure that no loop is late, and those who were late at the look before."""
        read, calm_until, pread = self._read, self._calm_until, os.pread
        try:
            for place, file in enumerate(self._files):
                words = pread(file, LIVE_BYTES, LIVE_AT)
                if words != read[place]:
                    if read[place]:
                        self._watches[place].turned_at = now
                    read[place], calm_until[place] = words, calm_until_by(words)
        except OSError:
            return list(self._watches)  # each finds out for itself whether it was its own
        if not self._nodes and not restless and calm_until and now < min(calm_until):
            return []
        stopped = [place for place in self._nodes if self._watches[place].is_stopped()]
        return [
            watch
            for place, (watch, until) in enumerate(zip(self._watches, calm_until, strict=True))
            if until <= now or watch in restless or place in stopped
        ]
