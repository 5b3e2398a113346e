"""Workers that live on a clock of the test's own, and are sampled and judged as the agent does it."""

from __future__ import annotations

from collections.abc import Callable

from vitalsd.detect.registry import Detector, Judgement, Seen
from vitalsd.history.past import Past, spans_of
from vitalsd.model import (
    ERROR_CHANNELS,
    GC_BOUNDS_SECONDS,
    GC_GENERATIONS,
    Finding,
    Frame,
    Histogram,
    PoolVitals,
    ProbeVitals,
    ProcessVitals,
    UnhandledError,
    WorkerKey,
    WorkerSample,
)
from vitalsd.settings.model import Settings

START = 1_782_907_200.0
MINUTE = 60.0
HOUR = 3600.0
DAY = 86_400.0
FETCH = (Frame("fetch", "/srv/shop/app.py", 12), Frame("main", "/srv/shop/app.py", 40))


class Life:
    """One slot and whoever sits in it, sampled each `step` seconds."""

    def __init__(self, detector: Callable[[Settings], Detector], settings: Settings | None = None) -> None:
        settings = settings if settings is not None else Settings()
        self.detector = detector(settings)
        self.past = Past(spans_of(settings))
        self.at = START
        self.step = 2.0
        self.probed = True
        self.samples: list[WorkerSample] = []
        self.found: list[Finding] = []
        self.pools: tuple[PoolVitals, ...] = ()
        self.pid = 0
        self.restart()

    def restart(self) -> Life:
        """Another process takes the slot: its counters start anew."""
        self.pid += 1
        self.started_at = self.at
        self.gc_counts = [[0] * (len(GC_BOUNDS_SECONDS) + 1) for _ in range(GC_GENERATIONS)]
        self.gc_seconds = [0.0] * GC_GENERATIONS
        self.errors = [0] * len(ERROR_CHANNELS)
        self.latest: list[UnhandledError | None] = [None] * len(ERROR_CHANNELS)
        return self

    def collect(self, seconds: float, generation: int = 2, count: int = 1) -> Life:
        """So many collections of this length."""
        self.gc_seconds[generation] += count * seconds
        self.gc_counts[generation][sum(seconds > bound for bound in GC_BOUNDS_SECONDS)] += count
        return self

    def fail(
        self, count: int = 1, channel: str = "task", kind: str = "KeyError", frames: tuple[Frame, ...] = FETCH
    ) -> Life:
        """So many errors, of which the last is looked at."""
        index = ERROR_CHANNELS.index(channel)
        self.errors[index] += count
        if count:
            self.latest[index] = UnhandledError(self.errors[index], kind, frames)
        return self

    def pool(self, threads: int, busy: int, queued: int, name: str = "asyncio") -> Life:
        """What its only pool is like from now on."""
        self.pools = (PoolVitals(name, threads, busy, queued),)
        return self

    def live(self, seconds: float, each: Callable[[Life], object] | None = None) -> Life:
        """So long, with whatever it does before each sample; whatever is found meanwhile is remembered."""
        end = self.at + seconds
        while self.at + self.step <= end:
            self.at += self.step
            if each is not None:
                each(self)
            self.look()
        return self

    def look(self) -> Judgement:
        """One sample, taken in and judged."""
        self.samples = [*self.samples[-3:], self.sample()]
        self.past.take(self.samples[-1])
        judged = self.judge()
        self.found += judged.findings
        return judged

    def judge(self) -> Judgement:
        """What the detector says now; what it calls quiet without a look must be."""
        seen = Seen("shop", "0", self.at, self.samples, past=self.past)
        judged = self.detector.judge(seen)
        assert not (judged.findings and self.detector.is_quiet(seen))
        assert judged.state.reason
        assert (judged.state.state == "fired") == bool(judged.findings)
        return judged

    def sample(self) -> WorkerSample:
        """What is read of it."""
        return WorkerSample(
            target="shop",
            slot="0",
            key=WorkerKey(self.pid, 1),
            at=self.at,
            up=True,
            command="",
            lag_source="probe",
            process=ProcessVitals("S", self.started_at, 0.0, 1),
            probe=self._probe() if self.probed else None,
            missing={} if self.probed else {"probe": "this worker publishes no segment"},
        )

    def _probe(self) -> ProbeVitals:
        return ProbeVitals(
            runtime="python",
            version="3.11.7",
            loops=(),
            loops_unwatched=0,
            gc_pauses=tuple(
                Histogram(GC_BOUNDS_SECONDS, tuple(sum(counts[: i + 1]) for i in range(len(counts))), seconds)
                for counts, seconds in zip(self.gc_counts, self.gc_seconds, strict=True)
            ),
            heap_used_bytes=None,
            heap_live_bytes=None,
            heap_blocks=700_000,
            heap_live_blocks=600_000,
            malloc_used_bytes=None,
            malloc_held_bytes=None,
            tasks=1,
            threads=1,
            executor_threads=sum(pool.threads for pool in self.pools),
            executor_busy=sum(pool.busy for pool in self.pools),
            executor_queued=sum(pool.queued for pool in self.pools),
            unhandled_errors=tuple(self.errors),
            probe_cpu_seconds=0.0,
            heartbeat_at=None,
            pools=self.pools,
            latest_errors=tuple(self.latest) if any(self.errors) else (),
        )


def every(seconds: float, do: Callable[[Life], object]) -> Callable[[Life], None]:
    """Do this when so much time has passed since the last time, beginning after the first."""
    last: list[float] = []

    def each(life: Life) -> None:
        last.append(life.at) if not last else None
        if life.at - last[-1] >= seconds:
            last[:] = [life.at]
            do(life)

    return each
