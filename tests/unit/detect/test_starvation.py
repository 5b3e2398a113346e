"""When a loop starves what arrives, by loops that live second by second on a clock of the test's own."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from unit.detect.evidence import hold, stall

from vitalsd.detect.registry import Seen
from vitalsd.detect.starvation import StarvationBounds, StarvationDetector, quantile
from vitalsd.model import (
    DELAY_BOUNDS_SECONDS,
    CpuVitals,
    Frame,
    Histogram,
    LoopVitals,
    ProbeVitals,
    StallInProgress,
    Verdict,
    WorkerKey,
    WorkerSample,
)
from vitalsd.settings.model import Settings

START = 1_782_907_200.0


class Life:
    """A worker that is sampled each second."""

    def __init__(self) -> None:
        self.at = START
        self.key = WorkerKey(10, 1)
        self.counts = [0] * (len(DELAY_BOUNDS_SECONDS) + 1)
        self.sum = self.busy = self.idle = self.stalled = 0.0
        self.iterations: int | None = 0
        self.samples: list[WorkerSample] = []
        self.live(0, 0.0)

    def live(
        self,
        seconds: int,
        delay: float,
        *,
        busy: float = 1.0,
        stalled: float = 0.0,
        ready: int | None = 3,
        iterations: int | None = 20,
        current: float = 0.0,
    ) -> Life:
        """So many seconds in which whatever arrives waits for `delay`; 0 takes the first sample."""
        for _ in range(seconds or 1):
            if seconds:
                self.at += 1
                self.busy += busy
                self.idle += 1 - busy
                self.stalled += stalled
                self.sum += 50 * delay
                slot = sum(delay > bound for bound in DELAY_BOUNDS_SECONDS)
                self.counts[slot] += 50
                if iterations is not None:
                    self.iterations = (self.iterations or 0) + iterations
            self.samples.append(self._sample(ready, current, known=iterations is not None))
        return self

    def _sample(self, ready: int | None, current: float, *, known: bool) -> WorkerSample:
        buckets = tuple(sum(self.counts[: i + 1]) for i in range(len(self.counts)))
        loop = LoopVitals(
            name="main",
            flavour="selector",
            running=True,
            delay=Histogram(DELAY_BOUNDS_SECONDS, buckets, self.sum),
            delay_max_seconds=0.0,
            busy_seconds=self.busy,
            idle_seconds=self.idle,
            iterations=self.iterations if known else None,
            stalls=0,
            stall_seconds=self.stalled,
            ready_callbacks=ready,
            timers=0,
            recent_stalls=(),
            current_stall=StallInProgress(0.0, current, ()) if current else None,
        )
        probe = ProbeVitals(
            "python", "3.11.7", (loop,), 0, (), None, None, None, None, None, None, 5000, 1, 0, 0, 0, (), 0.0, None
        )
        return WorkerSample("shop", "0", self.key, self.at, True, "", "probe", None, probe)

    def judge(self, bounds: StarvationBounds | None = None, stalls=(), holds=()):
        """What the detector says now."""
        detector = StarvationDetector(Settings(), bounds)
        seen = Seen("shop", "0", self.at, self.samples, stalls, holds=holds)
        judged = detector.judge(seen)
        assert not (judged.findings and detector.is_quiet(seen))
        return judged


HEALTHY = {
    "just begun": lambda life: life,
    "idle": lambda life: life.live(60, 0.0, busy=0.0, ready=0, iterations=1),
    "busy, and quick": lambda life: life.live(60, 0.004, busy=0.95),
    "saturated, and quick": lambda life: life.live(60, 0.04, busy=1.0, ready=40),
    "late for 9 s only": lambda life: life.live(20, 0.001).live(9, 0.2).live(1, 0.001),
    "late at times": lambda life: [life.live(9, 0.2).live(1, 0.001) for _ in range(9)][-1],
    "late by stalls": lambda life: life.live(30, 0.2, busy=0.8, stalled=0.4),
    "in one long stall": lambda life: life.live(30, 9.0, iterations=0),
    "in one long stall, without counts": lambda life: life.live(30, 9.0, iterations=None, current=40.0),
    "a full queue for a moment": lambda life: life.live(5, 0.001, ready=5000).live(6, 0.001),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_never_for_a_healthy_loop(name: str) -> None:
    """Neither idleness nor work nor stalls, which have a rule of their own, is starvation."""
    life = HEALTHY[name](Life())
    judged = life.judge()
    assert judged.findings == ()
    assert judged.state.state in ("quiet", "watching")
    seen = Seen("shop", "0", life.at, life.samples)
    assert StarvationDetector(Settings()).is_quiet(seen) == (judged.state.state == "quiet")


def test_what_a_capture_of_ours_has_made_wait() -> None:
    """The hold and what has queued up meanwhile are no starvation; what goes on long after is, as ever."""
    life = Life().live(20, 0.001)
    ours = hold(life.at, pause_seconds=5.0)
    assert life.live(14, 0.8).judge().findings
    judged = life.judge(holds=[ours])
    assert (judged.findings, judged.state.state) == ((), "quiet")
    assert not life.live(9, 0.8).judge(holds=[ours]).findings
    assert life.live(2, 0.8).judge(holds=[ours]).findings


STARVING = {
    "p99 over 100 ms": lambda life: life.live(10, 0.2, stalled=0.1),
    "mean over 50 ms": lambda life: life.live(10, 0.09, busy=0.97),
    "a full queue": lambda life: life.live(11, 0.01, ready=1001),
    "uvloop, which has no counts": lambda life: life.live(10, 0.09, busy=0.98, iterations=None, ready=None),
}


@pytest.mark.parametrize("name", STARVING)
def test_held_for_ten_seconds(name: str) -> None:
    """Over its bounds in each of the last ten seconds, and not a second before."""
    life = STARVING[name](Life().live(20, 0.001))
    judged = life.judge()
    assert [finding.kind for finding in judged.findings] == ["starvation"]
    assert judged.state.state == "fired"
    life.samples.pop()
    earlier = life.judge()
    assert earlier.findings == ()
    assert earlier.state.reason.endswith("held for 9 of 10 s")


@pytest.mark.parametrize(("ready", "fires"), [(1000, False), (1001, True)])
def test_ready_bound(ready: int, fires: bool) -> None:
    """More than a thousand ready callbacks, however quick they are."""
    assert bool(Life().live(11, 0.001, ready=ready).judge().findings) is fires


@pytest.mark.parametrize(("delay", "fires"), [(0.05, False), (0.051, True)])
def test_mean_bound(delay: float, fires: bool) -> None:
    """A mean of more than 50 ms."""
    assert bool(Life().live(11, delay).judge().findings) is fires


@pytest.mark.parametrize(("stalled", "fires"), [(0.5, False), (0.49, True)])
def test_stalls_explain_it(stalled: float, fires: bool) -> None:
    """Where stalls are half of the busy time, they are told and this is not."""
    judged = Life().live(11, 0.2, stalled=stalled).judge()
    assert bool(judged.findings) is fires
    if not fires:
        assert judged.state.reason.endswith("but 50 % of the busy time are stalls: see `stall`")


def test_finding() -> None:
    """The finding tells how long what arrives waits, who floods the queue, and since when."""
    life = Life().live(5, 0.001, ready=0).live(12, 0.09, ready=4000)
    flood = Verdict("ready_flood", Frame("fan_out", "/srv/feed.py", 8), "")
    (finding,) = life.judge(stalls=[(stall(0.2), flood, START)]).findings
    assert (finding.severity, finding.cause, finding.culprit) == ("warning", "ready_flood", flood.culprit)
    assert (finding.at, finding.started_at) == (life.at, life.at - 10)
    assert finding.summary == (
        "Worker 0 of `shop` turns its loop, but what arrives waits: p99 0.10 s, mean 0.09 s, 4000 callbacks ready "
        "for 10 s, as at least 4000 callbacks are ready at any time, mostly those of fan_out() (feed.py:8); "
        "bound how much work is taken on at once."
    )
    assert finding.evidence["ready_callbacks"] == 4000
    assert finding.evidence["tasks"] == 5000
    assert finding.evidence["mean_seconds"] == pytest.approx(0.09)
    assert finding.evidence["p99_seconds"] == pytest.approx(0.1, abs=0.001)


def test_critical_where_health_checks_fail() -> None:
    """A p99 over half a second is critical."""
    (finding,) = Life().live(11, 0.7).judge().findings
    assert (finding.severity, finding.cause) == ("critical", None)


@pytest.mark.parametrize("what", ["restart", "gap"])
def test_what_does_not_join(what: str) -> None:
    """Another process in the same place, or a sample without a loop, begins anew."""
    life = Life().live(6, 0.2)
    if what == "restart":
        life.key = WorkerKey(11, 2)
    else:
        life.samples.append(WorkerSample("shop", "0", life.key, life.at, False, "", "none", None, None))
    assert life.live(6, 0.2).judge().findings == ()


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_clock_that_is_set_makes_no_time(step: float) -> None:
    """An hour between two looks that are a second apart has kept nobody waiting; what does is told after."""
    life = Life().live(4, 0.2)
    life.at += step
    assert life.live(4, 0.2).judge().findings == ()
    assert life.live(8, 0.2).judge().findings


def without_a_processor(life: Life, share: float, busy: float) -> Life:
    """Late for 12 s, and for so much of the busy time because its thread had no processor."""
    life.samples = [replace(sample, cpu=CpuVitals(0.0)) for sample in life.samples]
    for second in range(1, 13):
        life.live(1, 0.2, busy=busy)
        life.samples[-1] = replace(life.samples[-1], cpu=CpuVitals(second * busy * share))
    return life


def test_a_loaded_host_is_the_targets() -> None:
    """One finding with the stalls of that cause, and no worker's own; a worker without work is none."""
    (finding,) = without_a_processor(Life(), 0.8, 0.5).judge().findings
    assert (finding.cause, finding.place) == ("cpu_contention", ("shop", "", "host", "", "", ""))
    assert "its thread waits for a processor for 80 % of the busy time; give it more CPU" in finding.summary
    idle = without_a_processor(Life(), 0.99, 0.5).judge()
    assert idle.findings == ()
    assert (idle.state.state, idle.state.reason[:24]) == ("watching", "nobody waits for it, and")
    (own,) = without_a_processor(Life(), 0.4, 0.5).judge().findings
    assert (own.cause, own.worker) == (None, "0")
    agent = without_a_processor(Life(), 0.8, 0.5)
    assert not StarvationDetector(Settings()).judge(Seen("vitalsd", "0", agent.at, agent.samples)).findings


def test_states() -> None:
    """Quiet with its numbers and bounds; unavailable with what is missing."""
    quiet = Life().live(5, 0.003).judge().state
    assert (quiet.state, quiet.reason) == ("quiet", "p99 is 5 ms, mean 3 ms; its bounds are 100 ms and 50 ms")
    blind = WorkerSample(
        "shop", "0", WorkerKey(1, 1), START, True, "", "none", None, None, missing={"probe": "no segment"}
    )
    state = StarvationDetector(Settings()).judge(Seen("shop", "0", START, [blind])).state
    assert (state.state, state.reason) == ("unavailable", "no event loop is seen: no segment")
    assert StarvationDetector(Settings()).judge(Seen("shop", "0", START, [])).state.state == "unavailable"


def test_other_bounds() -> None:
    """The bounds are what they are set to."""
    life = Life().live(3, 0.03)
    assert life.judge(StarvationBounds(mean_seconds=0.02, held_seconds=3)).findings


@pytest.mark.parametrize(("share", "seconds"), [(0.5, 0.1), (0.75, 0.15), (1.0, 0.2), (0.25, 0.05)])
def test_quantile(share: float, seconds: float) -> None:
    """As Prometheus interpolates within a bucket."""
    assert quantile(Histogram((0.1, 0.2), (50, 100, 100), 0.0), share) == pytest.approx(seconds)
