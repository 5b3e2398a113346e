"""One worker, or a few beside each other, by everything that is known of them."""

from __future__ import annotations

from vitalsd_exporters.dashboards.model import Column, Dashboard, Panel, Query, Row, Step
from vitalsd_exporters.dashboards.scope import Scope
from vitalsd_exporters.dashboards.shared import BUSY, LATE, gc_panels, late_panels, stall_panels
from vitalsd_exporters.dashboards.variables import INSTANCE, JOB, ONE_TARGET, WORKER

__all__ = ["WORKER_PAGE"]

S = Scope(("job", "target", "instance", "worker"))
SIX_HOURS = 21600
NAME = "{{instance}} {{worker}}"


def _each(expr: str, what: str = "", **more: bool) -> Query:
    """A line for each worker, with its name."""
    return Query(expr, f"{NAME} {what}".strip(), **more)


def _who() -> Row:
    info = f"max by (instance, worker, runtime, version, lag_source) ({S.of('vitals_worker_info')})"
    return Row(
        "Who is it?",
        (
            Panel(
                "Up", "Workers of those chosen that run, and where a slot is empty.", "short",
                (
                    Query(f"sum({S.of('vitals_worker_up')})", "up"),
                    Query(f"sum(1 - {S.of('vitals_worker_up')})", "down"),
                ),
                "stat", 4, 5,
            ),
            Panel(
                "Age of the youngest", "Since its process was started.", "s",
                (Query(f"time() - max({S.of('vitals_process_start_time_seconds')})", "age"),), "stat", 4, 5,
            ),
            Panel(
                "Replaced", "How often, in the time shown.", "short",
                (Query(f"sum({S.in_all('vitals_worker_restarts_total')})", "replaced"),), "stat", 4, 5,
                (Step(0, "green"), Step(1, "orange")),
            ),
            Panel(
                "Runtime",
                "What it is, and how its delay is measured: by the `probe`, by the `observer` from outside, or "
                "not at all.",
                "short", (Query(info, "{{worker}}"),), "table", 12, 5,
                columns=tuple(
                    Column(name, title)
                    for name, title in (
                        ("instance", "instance"), ("worker", "worker"), ("runtime", "runtime"),
                        ("version", "version"), ("lag_source", "delay measured by"),
                    )
                ),
            ),
        ),
    )  # fmt: skip


def _late() -> Row:
    busy, idle = (S.rate(f"vitals_eventloop_{what}_seconds_total") for what in ("busy", "idle"))
    return Row(
        "Is it late?",
        (
            *late_panels(S),
            Panel(
                "Busy share", "Of each of its loops.", "percentunit",
                (_each(f"{busy} / ({busy} + {idle})", "{{loop}}"),), steps=BUSY,
            ),
            Panel(
                "Turns of the loop",
                "Per second; a loop without a selector (uvloop), or without a probe, has none.", "cps",
                (_each(S.rate("vitals_eventloop_iterations_total"), "{{loop}}"),),
            ),
            Panel(
                "Stall that goes on", "How long the loop has been in one callback, read at the scrape.", "s",
                (_each(S.of("vitals_eventloop_stall_current_seconds")),), steps=LATE,
            ),
        ),
    )  # fmt: skip


def _why() -> Row:
    lost, count = S.rate("vitals_eventloop_stall_seconds_total"), S.rate("vitals_eventloop_stalls_total")
    return Row(
        "Why is it late?",
        (
            *stall_panels(S),
            Panel(
                "Length of a stall", "Mean of those that have ended, by cause.", "s",
                (Query(f"sum by (cause) ({lost}) / (sum by (cause) ({count}) > 0)", "{{cause}}"),), "bars", 6,
                empty="none",
            ),
            Panel(
                "Kept from the processor",
                "Share of the time in which its main thread was ready and had no processor, or its group had "
                "no quota.",
                "percentunit",
                (
                    _each(S.rate("vitals_cpu_runqueue_seconds_total"), "waits"),
                    _each(S.rate("vitals_cpu_throttled_seconds_total"), "throttled"),
                ),
                width=6,
            ),
            Panel(
                "Loop's queue, and tasks",
                "Callbacks ready to run, and tasks that are not done; asyncio with a probe.",
                "short",
                (
                    _each(S.of("vitals_eventloop_ready_callbacks"), "ready"),
                    _each(S.of("vitals_eventloop_tasks"), "tasks"),
                ),
                width=6,
            ),
            Panel(
                "Executors", "Threads of its thread pools, those at work, and jobs that wait for one.", "short",
                tuple(_each(S.of(f"vitals_executor_{what}"), what) for what in ("threads", "busy", "queued")),
                width=6,
            ),
        ),
    )  # fmt: skip


def _memory() -> Row:
    own, growth = S.of("worker:vitals_memory_own_bytes:sum"), S.of("vitals_memory_growth_bytes_per_second")
    return Row(
        "Where does its memory go?",
        (
            Panel(
                "Memory, its limit, and a forecast",
                "Memory that no file backs, swap included; the least limit that holds for it; and where its "
                "memory will be in six hours at the pace of the last six. Where the forecast is above the "
                "limit, act today.",
                "bytes",
                (
                    _each(own),
                    _each(S.of("vitals_memory_limit_bytes"), "limit", dashed=True),
                    _each(f"{own} + {SIX_HOURS} * clamp_min({growth}, 0)", "in six hours", dashed=True),
                ),
                width=12, height=8,
            ),
            Panel(
                "Resident, swapped, shared",
                "With pages of files, with what is shared divided by how many share it, and what was swapped out.",
                "bytes",
                (
                    _each(S.of("vitals_process_resident_memory_bytes"), "resident"),
                    _each(S.of("vitals_process_anonymous_memory_bytes"), "anonymous"),
                    _each(S.of("vitals_process_proportional_memory_bytes"), "proportional"),
                    _each(S.of("vitals_process_swap_bytes"), "swap"),
                ),
                width=12, height=8,
            ),
            Panel(
                "Growth", "Slope of the peaks of memory over the last six hours; known from half an hour on.",
                "Bps",
                (_each(growth),), width=6,
            ),
            Panel(
                "Time until the limit", "At that pace, if within 30 days.", "s",
                (_each(f"{S.of('vitals_memory_exhaustion_timestamp_seconds')} - time()"),), width=6,
                steps=(Step(0, "red"), Step(14400, "green")), empty="not in sight",
            ),
            Panel(
                "Heap",
                "In use now, and after the last full collection, which a leak raises and load does not; of "
                "Node with the limit at which V8 ends the process.",
                "bytes",
                (
                    _each(S.of("vitals_heap_used_bytes"), "used"),
                    _each(S.of("vitals_heap_live_bytes"), "live"),
                    _each(S.of("vitals_heap_limit_bytes"), "limit", dashed=True),
                ),
                width=6,
            ),
            Panel(
                "malloc", "Handed out, and held from the kernel: far above, that is fragmentation.", "bytes",
                (_each(S.of("vitals_malloc_used_bytes"), "used"), _each(S.of("vitals_malloc_held_bytes"), "held")),
                width=6,
            ),
        ),
    )  # fmt: skip


def _process() -> Row:
    return Row(
        "What does its process do?",
        (
            Panel(
                "Processor time", "Cores, user and system.", "short",
                (_each(S.rate("vitals_process_cpu_seconds_total")),),
            ),
            Panel(
                "File descriptors", "Open, and how many it may have.", "short",
                (
                    _each(S.of("vitals_process_open_fds"), "open"),
                    _each(S.of("vitals_process_max_fds"), "most", dashed=True),
                ),
            ),
            Panel("Threads", "Of the process.", "short", (_each(S.of("vitals_process_threads")),)),
            Panel(
                "Context switches", "Of its main thread per second: the involuntary are those of a crowded host.",
                "cps",
                (_each(S.rate("vitals_process_context_switches_total"), "{{kind}}"),),
            ),
            Panel(
                "Unhandled errors, by channel", "Per second.", "cps",
                (Query(f"sum by (channel) ({S.rate('vitals_unhandled_errors_total')})", "{{channel}}"),),
            ),
            Panel(
                "Last sign of life", "How long ago a loop showed one, or gunicorn's file, or the probe's thread.",
                "s",
                (_each(f"time() - {S.of('vitals_worker_heartbeat_timestamp_seconds')}"),),
            ),
        ),
    )  # fmt: skip


def _node() -> Row:
    return Row(
        "Node: what does V8 hold?",
        (
            Panel(
                "Heap, by space", "In use. `old_space` is what lives long.", "bytes",
                (_each(S.of("vitals_heap_space_used_bytes"), "{{space}}"),), empty="no Node",
            ),
            Panel(
                "Outside of the heap", "Memory that V8's heap holds, such as buffers.", "bytes",
                (_each(S.of("vitals_external_memory_bytes")),), empty="no Node",
            ),
            Panel(
                "Active resources",
                "What keeps the process going, by type; with them warnings of very many listeners.",
                "short",
                (
                    _each(S.of("vitals_active_resources"), "{{type}}"),
                    _each(S.increase("vitals_listener_warnings_total"), "listener warnings"),
                ),
                empty="no Node",
            ),
        ),
    )  # fmt: skip


def _cost() -> Row:
    return Row(
        "How well is it watched, and at what cost?",
        (
            Panel(
                "Probe", "Cores that the probe costs it.", "percentunit",
                (_each(S.rate("vitalsd_probe_cpu_seconds_total")),),
            ),
            Panel(
                "Loops that nobody watches", "Beyond the eight that a probe has room for.", "short",
                (_each(S.of("vitalsd_loops_unwatched")),), steps=(Step(0, "green"), Step(1, "orange")),
            ),
            Panel(
                "Sources", "Whether the latest reading of the target worked, by the way of reading.",
                "bool_yes_no",
                (Query(f"min by (source) ({S.of('vitalsd_source_success')})", "{{source}}"),),
            ),
        ),
    )  # fmt: skip


WORKER_PAGE = Dashboard(
    "vitalsd-worker",
    "vitalsd / Worker",
    "One worker of a service by everything that is known of it, or some of them beside each other.",
    (JOB, ONE_TARGET, INSTANCE, WORKER),
    (
        _who(),
        _late(),
        _why(),
        _memory(),
        Row("What does collecting garbage cost?", gc_panels(S)),
        _process(),
        _node(),
        _cost(),
    ),
)
