"""A daemon that always says the same, for whatever renders what a daemon says."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from support.captures import FakeCaptures
from vitalsd.history.memory import MemoryPast, MemorySpan
from vitalsd.incidents.latest import Latest, LoopPlace
from vitalsd.incidents.query import Page, Wanted, spot_of
from vitalsd.model import (
    DELAY_BOUNDS_SECONDS,
    GC_BOUNDS_SECONDS,
    ActiveResource,
    Cause,
    Container,
    CpuVitals,
    EndedStall,
    Exit,
    Frame,
    HeapSpace,
    Histogram,
    Incident,
    LoopVitals,
    MemoryGroup,
    MemoryTrend,
    MemoryVitals,
    ObservedLoop,
    ProbeVitals,
    ProcessVitals,
    Pulse,
    RecentLoop,
    Recovering,
    RuleState,
    Severity,
    SourceReading,
    Stack,
    Stall,
    StallInProgress,
    Supervisor,
    TargetSnapshot,
    WorkerKey,
    WorkerSample,
    Zombie,
    stalled_seconds,
)
from vitalsd.remedy.model import RemedyCounts, RemedyState
from vitalsd.settings.model import AlertLabels, Health
from vitalsd_exporters.state import AgentVitals, Exported, Notified

NOW = 1_782_907_200.25
"""2026-07-01T12:00:00.250Z."""

BLOCKED = Stack(
    samples=3,
    frames=(
        Frame(function="parse", file="/srv/shop/orders.py", line=41),
        Frame(function="handle", file="/srv/shop/app.py", line=12),
    ),
)

MAIN_LOOP = LoopVitals(
    name="main",
    flavour="selector",
    running=True,
    delay=Histogram(
        bounds=DELAY_BOUNDS_SECONDS,
        buckets=(4000, 4100, 4150, 4170, 4180, 4185, 4189, 4194, 4205, 4230, 4230, 4230, 4230, 4230, 4230),
        sum=41.5,
    ),
    delay_max_seconds=0.9,
    busy_seconds=4.75,
    idle_seconds=80.5,
    iterations=12_345,
    stalls=3,
    stall_seconds=1.5,
    ready_callbacks=4,
    timers=2,
    current_stall=StallInProgress(since=7001.0, seconds=1.25, stacks=(BLOCKED,)),
    recent_stalls=(
        Stall(
            number=3,
            since=6970.0,
            ended_at=NOW - 30,
            duration_seconds=0.5,
            cpu_seconds=0.49,
            gc_seconds=0.0,
            ready_callbacks=7,
            stacks=(BLOCKED,),
        ),
    ),
)

BACKGROUND_LOOP = LoopVitals(
    name="background",
    flavour="heartbeat",
    running=True,
    delay=Histogram(bounds=DELAY_BOUNDS_SECONDS, buckets=(900, *(1000,) * 14), sum=0.125),
    delay_max_seconds=0.002,
    busy_seconds=0.5,
    idle_seconds=19.5,
    iterations=None,
    stalls=1,
    stall_seconds=0.25,
    ready_callbacks=None,
    timers=None,
    current_stall=None,
    recent_stalls=(),
)

PROBE = ProbeVitals(
    runtime="python",
    version="3.12.4",
    loops=(MAIN_LOOP, BACKGROUND_LOOP),
    loops_unwatched=0,
    gc_pauses=(
        Histogram(bounds=GC_BOUNDS_SECONDS, buckets=(250, *(251,) * 9), sum=0.0625),
        Histogram(bounds=GC_BOUNDS_SECONDS, buckets=(20, *(21,) * 9), sum=0.03125),
        Histogram(bounds=GC_BOUNDS_SECONDS, buckets=(0, 0, 1, 1, 2, 2, 2, 2, 2, 2), sum=0.09375),
    ),
    heap_used_bytes=52_428_800,
    heap_live_bytes=47_185_920,
    heap_blocks=612_345,
    heap_live_blocks=600_000,
    malloc_used_bytes=8_388_608,
    malloc_held_bytes=12_582_912,
    tasks=17,
    threads=9,
    executor_threads=4,
    executor_busy=2,
    executor_queued=1,
    unhandled_errors=(2, 0, 0, 1, 0, None, None),
    probe_cpu_seconds=0.375,
    heartbeat_at=NOW - 1.25,
)

WATCHED = WorkerSample(
    target="shop",
    slot="0",
    key=WorkerKey(pid=4242, start_ticks=123_456),
    at=NOW,
    up=True,
    command="python -m shop",
    lag_source="probe",
    process=ProcessVitals(
        state="R",
        started_at=NOW - 86_400,
        cpu_seconds=512.25,
        threads=9,
        resident_bytes=134_217_728,
        anonymous_bytes=100_663_296,
        swap_bytes=0,
        open_fds=37,
        max_fds=1024,
        voluntary_switches=987_654,
        involuntary_switches=4_321,
    ),
    probe=PROBE,
    memory=MemoryVitals(
        limit_bytes=629_145_600,
        limit_kind="group",
        group=MemoryGroup(
            name="/kubepods/pod7/shop",
            limit_bytes=629_145_600,
            swap_limit_bytes=0,
            used_bytes=314_572_800,
            working_set_bytes=301_989_888,
            headroom_bytes=327_155_712,
            oom_kills=1,
            limit_hits=12,
        ),
        proportional_bytes=113_246_208,
        unique_bytes=98_566_144,
    ),
    cpu=CpuVitals(runqueue_seconds=3.5, throttled_seconds=1.25),
    pulse=Pulse(
        at=NOW,
        state="S",
        state_since=NOW - 3.5,
        heartbeat_at=NOW - 1.25,
        heartbeat_source="probe",
        touched_at=NOW - 0.75,
    ),
    container=Container(
        id="4f0c" * 16,
        pod_uid="8d6d4c63-0e9e-4c39-8a5e-2f0f4ad3b6c1",
        pod="shop-6d4cf56db6-x7k2p",
        namespace="market",
        container="web",
    ),
)

GONE = WorkerSample(
    target="shop",
    slot="1",
    key=WorkerKey(pid=4243, start_ticks=123_460),
    at=NOW,
    up=False,
    command="python -m shop",
    lag_source="none",
    process=None,
    probe=None,
)

BARE = WorkerSample(
    target="legacy",
    slot="0",
    key=WorkerKey(pid=77, start_ticks=999),
    at=NOW - 0.5,
    up=True,
    command="/opt/legacy/server --port 80",
    lag_source="none",
    process=ProcessVitals(state="S", started_at=NOW - 3600, cpu_seconds=7.5, threads=2, resident_bytes=33_554_432),
    probe=None,
    missing={"open_fds": "/proc/77/fd may not be read: run as the same user, or with CAP_SYS_PTRACE"},
)

OBSERVED = WorkerSample(
    target="legacy",
    slot="1",
    key=WorkerKey(pid=78, start_ticks=1_001),
    at=NOW - 0.5,
    up=True,
    command="/opt/legacy/server --port 81",
    lag_source="observer",
    process=ProcessVitals(state="S", started_at=NOW - 3600, cpu_seconds=7.5, threads=2),
    probe=None,
    observed=ObservedLoop(
        runtime="python",
        delay=Histogram(bounds=DELAY_BOUNDS_SECONDS, buckets=(90, *(100,) * 14), sum=0.125),
        delay_max_seconds=0.002,
        busy_seconds=0.25,
        idle_seconds=1.75,
        stalls=2,
        stall_seconds=0.5,
        current_stall=StallInProgress(since=7001.0, seconds=0.75, stacks=(BLOCKED,)),
        thread_id=78,
    ),
)
"""Seen from outside alone."""

OF_NODE = WorkerSample(
    target="web",
    slot="0",
    key=WorkerKey(pid=88, start_ticks=2_001),
    at=NOW,
    up=True,
    command="node web.js",
    lag_source="probe",
    process=ProcessVitals(state="S", started_at=NOW - 3600, cpu_seconds=9.5, threads=12),
    probe=ProbeVitals(
        runtime="node",
        version="20.20.2",
        loops=(msgspec.structs.replace(MAIN_LOOP, flavour="heartbeat", iterations=None, current_stall=None),),
        loops_unwatched=0,
        gc_pauses=PROBE.gc_pauses,
        heap_used_bytes=10_485_760,
        heap_live_bytes=8_388_608,
        heap_blocks=None,
        heap_live_blocks=None,
        malloc_used_bytes=None,
        malloc_held_bytes=None,
        tasks=None,
        threads=None,
        executor_threads=None,
        executor_busy=None,
        executor_queued=None,
        unhandled_errors=(None,) * 5 + (3, 1),
        probe_cpu_seconds=0.25,
        heartbeat_at=NOW - 0.25,
        heap_limit_bytes=2_197_815_296,
        external_bytes=1_048_576,
        listener_warnings=2,
        resources=(ActiveResource("TCPSocketWrap", 12), ActiveResource("Timeout", 3)),
        spaces=(HeapSpace("old_space", 6_291_456, 8_388_608), HeapSpace("new_space", 1_048_576, 2_097_152)),
    ),
)
WEB = TargetSnapshot(name="web", up=True, workers=(OF_NODE,))

KILLED = Exit(
    target="shop",
    slot="1",
    key=WorkerKey(4251, 98_765),
    ended_at=NOW - 20,
    reason="signal",
    lived_seconds=7200.5,
    signal="SIGKILL",
    told_by="kernel",
    evidence="SIGKILL; who has sent it is not known",
    supervisor="gunicorn",
    memory_bytes=120_586_240,
)
"""The end of the one who sat where nobody does now."""

SHOP = TargetSnapshot(
    name="shop",
    up=True,
    workers=(WATCHED, GONE),
    restarts={"0": {"error": 1}, "1": {"error": 2, "signal": 1}},
    supervisor=Supervisor(
        kind="gunicorn",
        key=WorkerKey(pid=4711, start_ticks=123_400),
        command="gunicorn -w 2 shop",
        timeout_seconds=30.0,
        worker_class="sync",
        workers=2,
    ),
    zombies=(
        Zombie(
            key=WorkerKey(pid=4800, start_ticks=130_000),
            parent=WorkerKey(pid=4242, start_ticks=123_456),
            name="ffmpeg",
            since=NOW - 60,
        ),
    ),
)
LEGACY = TargetSnapshot(name="legacy", up=True, workers=(BARE, OBSERVED))

SOURCES = (
    SourceReading(target="shop", source="process", success=True, duration_seconds=0.0015),
    SourceReading(target="shop", source="segment", success=True, duration_seconds=0.0005),
    SourceReading(
        target="legacy",
        source="process",
        success=False,
        duration_seconds=0.002,
        problem="/proc/77/fd may not be read",
    ),
)

AGENT = AgentVitals(
    cpu_seconds=12.5,
    resident_bytes=37_748_736,
    effective_interval_seconds=1.0,
    sampled_at={"shop": NOW, "legacy": NOW - 0.5},
    reload_succeeded_at=NOW - 86_400,
    version="0.1.0",
    observer_interval_seconds=0.0625,
    stacks=41,
    stacks_refused={"forbidden": 3, "over": 1},
    errors={"detector_failed": 1, "sampling_failed": 0},
    notified=(Notified("http://am-0:9093", sent=12, failed=2),),
    exported=Exported("http://collector:4318", sent=30, failed=4, dropped_points=900),
)

BLOCKING = Incident(
    id="1n4a0a0q7zk",
    kind="stall",
    target="shop",
    worker="0",
    severity="critical",
    state="open",
    opened_at=NOW - 120,
    resolved_at=None,
    cause="blocking_cpu",
    culprit=BLOCKED.frames[0],
    summary="`parse` in orders.py blocked worker 0 of `shop` (14 times since 11:58:00 UTC, worst 1.20 s).",
    evidence={
        "reason": "the thread was running in 9 of 10 looks",
        "count": 14,
        "stalls": [{"started_at": NOW - 2, "duration_seconds": 1.2, "cause": "blocking_cpu"}],
        "stacks": [{"samples": 3, "frames": [{"function": "parse", "file": "/srv/shop/orders.py", "line": 41}]}],
    },
    updated_at=NOW - 0.8,
    count=14,
    timeline=(
        {"at": NOW - 120, "event": "opened", "text": "critical: `parse` in orders.py blocked worker 0 of `shop`."},
        {"at": NOW - 0.8, "event": "evidence", "text": "found 13 more times, the latest of 1.20 s"},
    ),
)

OVER = Incident(
    id="1n49yz0004a",
    kind="stall",
    target="legacy",
    worker="1",
    severity="warning",
    state="resolved",
    opened_at=NOW - 4000,
    resolved_at=NOW - 3900,
    cause="cpu_throttled",
    culprit=None,
    summary="Worker 1 of `legacy` was throttled for 0.30 s.",
    evidence={},
    updated_at=NOW - 3960,
    timeline=(
        {"at": NOW - 4000, "event": "opened", "text": "warning: Worker 1 of `legacy` was throttled for 0.30 s."},
        {"at": NOW - 3900, "event": "resolved", "text": "not found again for 60 s, last at 10:54:00 UTC"},
    ),
)

RULES = (
    RuleState("stall", "shop", "0", "fired", "`parse` in orders.py blocked worker 0 of `shop`."),
    RuleState("starvation", "shop", "0", "quiet", "p99 delay 4 ms over 10 s"),
    RuleState("stall", "legacy", "0", "unavailable", "no loop is seen"),
)


REMEDY = RemedyState("on", "watching", "whether recycling worker 0 has helped")
REMEDIES = RemedyCounts({("shop", "helped"): 2, ("shop", "refused"): 1}, {"shop": False})


@dataclass
class FixedView:
    """A View whose every answer is a field."""

    all_targets: tuple[TargetSnapshot, ...] = (SHOP, LEGACY)
    all_sources: tuple[SourceReading, ...] = SOURCES
    all_incidents: tuple[Incident, ...] = (BLOCKING, OVER)
    stored_incidents: tuple[Incident, ...] = ()
    """What the disk alone knows."""
    all_rules: tuple[RuleState, ...] = RULES
    totals: dict[tuple[str, str, Severity], int] = field(
        default_factory=lambda: {
            ("shop", "stall", "warning"): 3,
            ("shop", "stall", "critical"): 2,
            ("legacy", "stall", "warning"): 1,
        }
    )
    counts: dict[WorkerKey | None, dict[Cause, tuple[int, float]]] = field(
        default_factory=lambda: {
            WATCHED.key: {"blocking_cpu": (3, 1.25), "unknown": (1, 0.5)},
            OBSERVED.key: {"cpu_throttled": (2, 0.5)},
        }
    )
    trends: dict[WorkerKey | None, MemoryTrend] = field(
        default_factory=lambda: {
            WATCHED.key: MemoryTrend(14_563.5, NOW + 9_000.0),
            OBSERVED.key: MemoryTrend(-12.5, None),
        }
    )
    last_minute: dict[WorkerKey | None, dict[str, RecentLoop]] = field(
        default_factory=lambda: {
            WATCHED.key: {"main": RecentLoop(60.5, 0.25, (0.5, 1.0), 2)},
            OBSERVED.key: {"main": RecentLoop(12.0, 0.125, (0.0, 0.001), 0)},
        }
    )
    cpu_shares: dict[WorkerKey | None, float] = field(default_factory=lambda: {WATCHED.key: 0.254})
    pasts: dict[tuple[str, str], tuple[MemorySpan, ...]] = field(default_factory=dict)
    latest: dict[LoopPlace, dict[float, Latest]] = field(
        default_factory=lambda: {
            ("shop", "0", "main"): {1.0: (BLOCKING.id, EndedStall("0", "main", NOW - 29.25, 0.75))},
        }
    )
    captures: FakeCaptures = field(default_factory=FakeCaptures)
    history_problem: str | None = None
    is_ready: bool = True
    vitals: AgentVitals = AGENT
    remedy_state: RemedyState = REMEDY
    remedy_counts: RemedyCounts = REMEDIES
    health: Health = field(default_factory=Health)
    alert_labels: AlertLabels = field(default_factory=AlertLabels)
    runbooks: str | None = None
    recoveries: dict[WorkerKey | None, Recovering] = field(default_factory=dict)
    reload_error: Exception | None = None
    reloads: int = field(default=0)
    closer_looks: int = field(default=0)

    def look_closely(self) -> None:
        """Nothing is read here."""
        self.closer_looks += 1

    def targets(self) -> tuple[TargetSnapshot, ...]:
        """The targets, as they are."""
        return self.all_targets

    def scraped(self) -> tuple[TargetSnapshot, ...]:
        """The same targets, as they are."""
        return self.targets()

    def sampled(self) -> tuple[TargetSnapshot, ...]:
        """The same targets."""
        return self.all_targets

    def stalled(self) -> dict[tuple[str, str], float]:
        """Of the same targets."""
        told = {
            (target.name, worker.slot): stalled_seconds(worker)
            for target in self.all_targets
            for worker in target.workers
        }
        return {place: seconds for place, seconds in told.items() if seconds is not None}

    def cpu_share(self, worker: WorkerSample) -> float | None:
        """As it is."""
        return self.cpu_shares.get(worker.key)

    def recent(self, worker: WorkerSample) -> dict[str, RecentLoop]:
        """The last minute, as it is."""
        return self.last_minute.get(worker.key, {})

    def sources(self) -> tuple[SourceReading, ...]:
        """The readings, as they are."""
        return self.all_sources

    def incidents(self) -> tuple[Incident, ...]:
        """The incidents, as they are."""
        return self.all_incidents

    def incident_totals(self) -> dict[tuple[str, str, Severity], int]:
        """The totals, as they are."""
        return self.totals

    async def find_incidents(self, wanted: Wanted) -> Page:
        """Of the same incidents and those of the disk, those that fit."""
        both = (*self.all_incidents, *self.stored_incidents)
        fitting = sorted((incident for incident in both if wanted.fits(incident)), key=spot_of, reverse=True)
        told = tuple(fitting[: wanted.limit])
        return Page(told, self.history_problem, spot_of(told[-1]) if len(fitting) > len(told) else None)

    def rules(self) -> tuple[RuleState, ...]:
        """The rules, as they are."""
        return self.all_rules

    def stall_counts(self, worker: WorkerSample) -> dict[Cause, tuple[int, float]]:
        """The counts, as they are."""
        return self.counts.get(worker.key, {})

    def latest_stalls(self) -> dict[LoopPlace, dict[float, Latest]]:
        """The stalls, as they are."""
        return self.latest

    def memory_trend(self, worker: WorkerSample) -> MemoryTrend | None:
        """The trend, as it is."""
        return self.trends.get(worker.key)

    def remedy(self, target: str) -> RemedyState:
        """The same of every target."""
        del target
        return self.remedy_state

    def remedies(self) -> RemedyCounts:
        """The counts, as they are."""
        return self.remedy_counts

    async def memory_past(self, target: str, worker: str, since: float) -> MemoryPast:
        """What is set of it, from then on."""
        spans = self.pasts.get((target, worker), ())
        return MemoryPast(tuple(span for span in spans if span.at >= since), self.history_problem)

    def recovering(self, worker: WorkerSample) -> Recovering | None:
        """As it is."""
        return self.recoveries.get(worker.key)

    def ready(self) -> bool:
        """Whatever was set."""
        return self.is_ready

    def agent(self) -> AgentVitals:
        """The agent, as it is."""
        return self.vitals

    async def reload(self) -> None:
        """Count, and fail if told to."""
        self.reloads += 1
        if self.reload_error is not None:
            raise self.reload_error
