"""Node workers whose heap fills and is collected, sampled and judged as the agent does it."""

from __future__ import annotations

import random
from collections.abc import Callable

from msgspec.structs import replace
from support.remedies import worker
from support.storing import NOON
from support.views import OF_NODE

from vitalsd.detect.heap_exhaustion import HeapExhaustionDetector
from vitalsd.detect.registry import Judgement, Seen
from vitalsd.history.past import Past, spans_of
from vitalsd.model import GC_BOUNDS_SECONDS, Histogram, WorkerSample
from vitalsd.settings.model import Settings

MIB = 1 << 20
LIMIT = 1024 * MIB
EVERY = 3.0
Course = Callable[[float], float]
"""Seconds -> the share of the limit that is alive."""


def histogram(count: int, seconds: float) -> Histogram:
    """So many collections, and how long they took together."""
    return Histogram(GC_BOUNDS_SECONDS, (count,) * (len(GC_BOUNDS_SECONDS) + 1), seconds)


def sample(at: float, used: float, live: float | None, collections: int = 0, seconds: float = 0.0) -> WorkerSample:
    """Of a Node, by shares of its limit."""
    assert OF_NODE.probe is not None
    probe = replace(
        OF_NODE.probe,
        heap_used_bytes=round(used * LIMIT),
        heap_live_bytes=round(live * LIMIT) if live is not None else None,
        heap_limit_bytes=LIMIT,
        gc_pauses=(histogram(900, 0.9), histogram(9, 0.1), histogram(collections, seconds)),
    )
    return replace(worker(0), at=NOON + at, probe=probe)


class Heap:
    """A worker that is sampled and judged round by round."""

    def __init__(self) -> None:
        self.past = Past(spans_of(Settings()))
        self.samples: list[WorkerSample] = []
        self.told: list[Judgement] = []

    def see(self, taken: WorkerSample) -> Judgement:
        """One round."""
        self.past.take(taken)
        self.samples = [each for each in self.samples if each.at >= taken.at - 60] + [taken]
        seen = Seen("shop", "0", taken.at, self.samples, past=self.past)
        detector = HeapExhaustionDetector(Settings())
        judgement = detector.judge(seen)
        assert not (judgement.findings and detector.is_quiet(seen))
        self.told.append(judgement)
        return judgement

    def live(
        self,
        alive: Course,
        seconds: float,
        *,
        collected_every: float = 9.0,
        costs: float = 0.05,
        top: float = 0.92,
        times: int = 1,
    ) -> Heap:
        """Garbage fills it up to `top`; full collections come so often, so many at once that last so long."""
        for number in range(int(seconds / EVERY) + 1):
            at = number * EVERY
            done, since = divmod(at, collected_every)
            last = alive(done * collected_every)
            used = last + max(0.0, top - last) * since / collected_every
            self.see(sample(at, max(used, alive(at)), last, times * (int(done) + 1), costs * (done + 1)))
        return self

    @property
    def found(self) -> list[Judgement]:
        """Rounds in which there was something."""
        return [each for each in self.told if each.findings]


def noisy(level: float, by: float) -> Course:
    """What is alive when it is collected comes and goes with the requests."""
    chance = random.Random(7)
    return lambda _at: level + chance.uniform(-by, by)
