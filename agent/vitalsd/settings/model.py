"""Every key of the configuration: its type, its bounds, its default and the sentence that describes it.

This, with `outward`, is the one place where a key is defined. Loading, `vitalsd config show`, the JSON Schema and
the tables of docs/configuration.md are made from it. A key is here only if something reads it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from vitalsd.settings.alertmanager import Alertmanager, AlertmanagerPeer, StaticLabel
from vitalsd.settings.alerts import AlertLabels
from vitalsd.settings.otlp import Otlp
from vitalsd.settings.outward import Control, Exporters, Health, Log, Prometheus, Storage
from vitalsd.settings.types import Duration, FilePath, Name, Pid, Regex, Section, Size, StoreUrl

__all__ = [
    "AlertLabels",
    "Alertmanager",
    "AlertmanagerPeer",
    "Capture",
    "Control",
    "Exporters",
    "Health",
    "Log",
    "Memory",
    "Otlp",
    "Prometheus",
    "Remedy",
    "Sampling",
    "Settings",
    "Stall",
    "StaticLabel",
    "Storage",
    "Target",
    "Workers",
]


class Target(Section, frozen=True):
    """A monitored service, found by exactly one of `match` and `pid`."""

    name: Annotated[Name, Meta(description="The value of the `target` label. Unique.")]
    match: Annotated[
        Regex | None,
        Meta(description="A regular expression searched in the first 4 KiB of the command line of every process."),
    ] = None
    pid: Annotated[
        Pid | None, Meta(description="The process that is the service, or the parent of its workers.")
    ] = None
    per_container: Annotated[
        bool,
        Meta(
            description="Whether the workers of each container are a target of their own, called "
            "`NAMESPACE:WORKLOAD:CONTAINER`: for the agent of a Kubernetes node. Goes with `match`."
        ),
    ] = False


class Sampling(Section, frozen=True):
    """How often workers are read, and where their probes publish."""

    interval: Annotated[
        Duration,
        Meta(
            ge=0.1,
            description="The time between two readings of every worker while anything stirs: a loop that is late, "
            "a detector that looks closer, a probe that comes or goes, somebody who looks at the page or asks for "
            "the targets. In calm it is twice that, unless it is above 6s or `discovery_interval` no longer than "
            "it. Longer where readings take more than a twentieth of a core, from some 500 workers on.",
        ),
    ] = 3.0
    discovery_interval: Annotated[
        Duration,
        Meta(
            ge=0.5,
            description="The time between two searches for targets and their workers; longer, up to 1m, where a "
            "search takes more than half a percent of it.",
        ),
    ] = 5.0
    segment_dir: Annotated[
        FilePath | None,
        Meta(
            description="Where probes put their segments. "
            "`null`: `$VITALSD_DIR`, else `/run/vitalsd`, else `/dev/shm/vitalsd-<uid>`."
        ),
    ] = None


class Stall(Section, frozen=True):
    """When an event loop that does not get round to its callbacks is a stall."""

    threshold: Annotated[
        Duration,
        Meta(
            ge=0.02,
            description="A loop that is late for longer than this stalls. `vitalsd run` passes it on to the "
            "service; a probe installed otherwise reads it, in seconds, from `VITALSD_STALL_THRESHOLD`.",
        ),
    ] = 0.1
    critical: Annotated[
        Duration, Meta(ge=0.02, description="A stall that lasts longer makes its incident critical.")
    ] = 0.5
    resolve_after: Annotated[
        Duration,
        Meta(ge=1.0, description="An incident is resolved when it has not been found again for this long."),
    ] = 60.0


class Memory(Section, frozen=True):
    """When growth is a leak, when memory runs out, and when collecting garbage takes too much of the time."""

    day: Annotated[
        Duration,
        Meta(
            ge=30.0,
            description="The time after which load repeats itself. Every window that growth is judged by is "
            "a part or a multiple of it, from 1/36 (40 min) to 4 (4 days).",
        ),
    ] = 86_400.0
    settle: Annotated[
        Duration, Meta(ge=0.0, description="The first part of a worker's life, which is not judged.")
    ] = 3_600.0
    exhaustion: Annotated[
        Duration,
        Meta(ge=60.0, description="Memory that will be used up within this time is an incident."),
    ] = 86_400.0
    smaps_max_size: Annotated[
        Size,
        StoreUrl,
        Meta(
            description="Up to this resident size PSS is read of a worker, once in five minutes. "
            "Whatever the worker maps meanwhile waits, 8 ms per GiB. `0B`: of none."
        ),
    ] = 2**30
    gc_percent: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Collections that take this much of the time, in two windows in a row, are `gc_pressure`.",
        ),
    ] = 10
    gc_window: Annotated[Duration, Meta(ge=10.0, description="The time over which that share is taken.")] = 60.0
    gc_pause: Annotated[
        Duration,
        Meta(
            ge=0.001,
            description="Collections that pause for longer are `gc_pressure` when they recur. Pauses are counted "
            "up to 1, 5, 10, 50, 100, 250 and 500 ms, 1 and 5 s: the next of these is what holds.",
        ),
    ] = 0.25
    gc_pauses: Annotated[int, Meta(ge=2, le=10_000, description="How many of them recur.")] = 3
    gc_pauses_within: Annotated[Duration, Meta(ge=1.0, description="In how much time.")] = 600.0


class Workers(Section, frozen=True):
    """When a worker fails more than it used to, or its executors no longer keep up."""

    settle: Annotated[
        Duration,
        Meta(
            ge=0.0,
            description="What a worker does in so much time after its start is not judged by `gc_pressure` and "
            "`error_surge`: imports make garbage, and connections are not there yet.",
        ),
    ] = 60.0
    errors_window: Annotated[
        Duration, Meta(ge=1.0, description="The time over which unhandled errors are counted.")
    ] = 300.0
    errors_least: Annotated[
        int, Meta(ge=2, le=1_000_000, description="An `error_surge` is at least so many errors in that time.")
    ] = 10
    errors_times: Annotated[
        int,
        Meta(ge=2, le=10_000, description="And at least so many times what the worker's past has in as much."),
    ] = 5
    errors_past: Annotated[
        Duration,
        Meta(
            ge=1.0,
            description="How far back that past goes. What comes again after this time, such as a nightly job's "
            "errors, is no surge.",
        ),
    ] = 86_400.0
    pool_held: Annotated[
        Duration,
        Meta(
            ge=5.0,
            description="An executor whose threads are all busy while calls wait, for so long, is a "
            "`pool_saturation` unless its queue gets shorter.",
        ),
    ] = 30.0
    down_after: Annotated[
        Duration,
        Meta(ge=1.0, description="A worker that has ended and is not replaced for so long is `worker_down`."),
    ] = 10.0
    hung_after: Annotated[
        Duration,
        Meta(
            ge=1.0,
            description="A worker whose loop, or whose heartbeat to its supervisor, is late for so long is "
            "`worker_hung`; sooner where its supervisor would end it within four times this.",
        ),
    ] = 10.0
    crash_loop_exits: Annotated[
        int,
        Meta(ge=2, le=1000, description="So many workers of a target that end out of order are a `crash_loop`."),
    ] = 5
    crash_loop_within: Annotated[Duration, Meta(ge=1.0, description="In how much time.")] = 30.0
    zombies: Annotated[
        int,
        Meta(ge=1, le=10_000, description="So many ended children that nobody fetches are `zombie`."),
    ] = 5
    zombie_after: Annotated[
        Duration, Meta(ge=1.0, description="Those that have ended for so long. An ended worker counts alone.")
    ] = 30.0
    imbalance_window: Annotated[
        Duration, Meta(ge=5.0, description="The time over which the work of a pool's workers is compared.")
    ] = 300.0


class Capture(Section, frozen=True):
    """What is taken of a running service as evidence."""

    alerts: AlertLabels = AlertLabels()
    automatic: Annotated[
        bool,
        Meta(description="Whether incidents have captures taken by themselves. Stacks of stalls always are."),
    ] = True
    cooldown: Annotated[
        Duration,
        Meta(
            ge=0.0,
            description="The time between two captures of one kind of one target; `stacks` of an incident with "
            "another cause or culprit do not wait, no incident waits for what a person has asked for, and no "
            "person for what was taken by itself: between what people ask for of one worker it is a minute at "
            "most, and none of `stacks`.",
        ),
    ] = 600.0
    per_hour: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="At most so many captures in any hour, of all kinds and targets; `stacks` that people "
            "ask for do not count. 0: none at all.",
        ),
    ] = 6
    cpu_duration: Annotated[
        Duration, Meta(ge=1.0, le=600.0, description="How long a CPU profile watches where nobody says otherwise.")
    ] = 15.0
    memory_duration: Annotated[
        Duration,
        Meta(ge=1.0, le=3600.0, description="How long allocations are tracked where nobody says otherwise."),
    ] = 60.0
    quota: Annotated[
        Size,
        Meta(description="What all captures together may take of the disk: the oldest not pinned goes first."),
    ] = 1 << 30
    keep_free: Annotated[Size, Meta(description="What must be left of the disk, or nothing is captured.")] = (
        512 << 20
    )
    retention: Annotated[
        Duration, Meta(ge=60.0, description="After this time a capture is deleted, unless it is pinned.")
    ] = 14 * 86_400.0
    upload: Annotated[
        StoreUrl | None,
        Meta(
            description="Where the files of captures are copied to when they are done, until they are there: "
            "`s3://BUCKET/PREFIX`, `gs://...`, `az://...` or `file:///FOLDER`. Needs `pip install 'vitalsd[s3]'`.",
        ),
    ] = None
    upload_secret_file: Annotated[
        FilePath | None,
        Meta(
            description="A file of `NAME=VALUE` lines for that, such as `AWS_ACCESS_KEY_ID` and "
            "`AWS_SECRET_ACCESS_KEY`; without it, the agent's environment has them, or the machine's role."
        ),
    ] = None
    max_hold: Annotated[
        Duration,
        Meta(
            ge=0.0,
            le=600.0,
            description="For how long a capture that nobody has asked for may hold the service. On a host at "
            "rest a heap snapshot of Node holds it for a tenth of a second for each MiB of small objects, and the "
            "start of a profile by V8, taken where nothing else may look, for 2 ms for each MiB; on one that is "
            "busy for up to four times that.",
        ),
    ] = 0.25
    max_load: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="The load of the host, for each of its processors, above which nothing is captured; "
            "where the kernel tells for how much of the time somebody waits for a processor (PSI), only if that "
            "is four fifths, too.",
        ),
    ] = 2
    near_heap_limit: Annotated[
        bool,
        Meta(
            description="Whether a Node service whose heap is about to meet its limit (`heap_exhaustion`) has a "
            "heap snapshot taken by itself, though that holds it for longer than `max_hold`: the last evidence "
            "before V8 ends it. Nine times the heap must be left of its memory limit all the same."
        ),
    ] = False
    redact: Annotated[
        bool,
        Meta(
            description="Whether heap snapshots are kept without what strings and names of properties say; "
            "`vitalsd capture heap --redact` asks for it once."
        ),
    ] = False
    allow_debugger_attach: Annotated[
        bool,
        Meta(
            description="Whether gdb may be attached to a service that nothing else can look into. "
            "It stops the service, and has been seen to end one, so no engine of this version does: with `true`, "
            "a refused memory capture says so."
        ),
    ] = False
    census_interval: Annotated[
        Duration,
        Meta(
            ge=1.0,
            description="The time between the first two censuses of what lives in a process in which something "
            "grows. Two more follow after three and nine times as long.",
        ),
    ] = 600.0


class Remedy(Section, frozen=True):
    """Whether a leaking or hung worker is recycled, once its evidence is there."""

    mode: Annotated[
        Literal["off", "dry_run", "on"],
        Meta(description="`dry_run` says in the incident's timeline what `on` would have done, and does nothing."),
    ] = "off"
    leak: Annotated[bool, Meta(description="Whether the worker of a `leak` is recycled.")] = True
    worker_hung: Annotated[bool, Meta(description="Whether the worker of a `worker_hung` is.")] = True
    min_healthy: Annotated[
        int,
        Meta(ge=0, le=10_000, description="So many healthy workers of its target stay while one is recycled."),
    ] = 1
    evidence_within: Annotated[
        Duration,
        Meta(ge=0.0, description="How long it is waited for the captures of the incident, at most."),
    ] = 120.0
    grace: Annotated[
        Duration,
        Meta(ge=0.0, description="A worker that was asked to end and has not for so long is killed."),
    ] = 30.0
    backoff: Annotated[
        Duration,
        Meta(
            ge=0.0,
            description="The time between two recycled workers of a target; doubled each time it did not help.",
        ),
    ] = 1.0
    backoff_most: Annotated[Duration, Meta(ge=0.0, description="And grows no further than this.")] = 30.0
    breaker: Annotated[
        int,
        Meta(ge=1, le=100, description="After so many in a row that did not help, nothing more is recycled."),
    ] = 3
    helped_after: Annotated[
        Duration,
        Meta(ge=1.0, description="It has helped when the replacement has no such incident for so long."),
    ] = 600.0
    breaker_resets_after: Annotated[
        Duration, Meta(ge=1.0, description="After so long the breaker lets one more be tried.")
    ] = 3_600.0


class Settings(Section, frozen=True):
    """The configuration of vitalsd. With no file at all, every default serves."""

    targets: Annotated[list[Target], Meta(description="The services to watch.")] = field(default_factory=list)
    sampling: Sampling = Sampling()
    stall: Stall = Stall()
    memory: Memory = Memory()
    workers: Workers = Workers()
    capture: Capture = Capture()
    remedy: Remedy = Remedy()
    health: Health = Health()
    exporters: Exporters = Exporters()
    storage: Storage = Storage()
    log: Log = Log()
