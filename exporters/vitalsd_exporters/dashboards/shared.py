"""Panels that the dashboards of a service and of a worker have alike: delay, stalls by cause, collections."""

from __future__ import annotations

from vitalsd_exporters.dashboards.links import CAUSE, labels
from vitalsd_exporters.dashboards.model import Panel, Query, Step
from vitalsd_exporters.dashboards.scope import Scope

__all__ = ["BUSY", "FULL", "LATE", "gc_panels", "late_panels", "stall_panels"]

LATE = (Step(0, "green"), Step(0.1, "orange"), Step(0.5, "red"))
"""Of `stall.threshold`, and of what alerts are made of."""
BUSY = (Step(0, "green"), Step(0.7, "orange"), Step(0.9, "red"))
FULL = (Step(0, "green"), Step(0.9, "orange"), Step(0.95, "red"))
DELAY = "vitals_eventloop_delay_seconds"
PAUSES = "vitals_gc_pause_seconds"


def late_panels(s: Scope) -> tuple[Panel, ...]:
    """The histogram itself, and its quantiles."""
    quantiles = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))
    return (
        Panel(
            "Delay",
            "What a callback would wait, had it been scheduled at a random moment: the share of time is the "
            "color. A band far above the lowest is a stall, or a loop that does not keep up.",
            "s", (Query(f"sum by (le) ({s.increase(DELAY + '_bucket')})", "{{le}}"),), "heatmap", 12, 8,
        ),
        Panel(
            "Delay, quantiles",
            "Interpolated inside a bucket: between 0.5 and 1 s, not 0.83 s.",
            "s", tuple(Query(s.quantile(q, DELAY), name) for q, name in quantiles), width=12, height=8,
        ),
    )  # fmt: skip


def stall_panels(s: Scope) -> tuple[Panel, ...]:
    """What held the loops."""
    lost, count = "vitals_eventloop_stall_seconds_total", "vitals_eventloop_stalls_total"
    return (
        Panel(
            "Lost to stalls, by cause",
            "Share of its time that a worker loses, on average. A cause leads to its section of the runbook.",
            "percentunit", (Query(f"avg by (cause) ({s.rate(lost)}) > 0", "{{cause}}"),), "bars", 12,
            links=labels(CAUSE), empty="none",
        ),
        Panel(
            "Stalls, by cause",
            "Beyond `stall.threshold`, that have ended; each is counted, also where no line is logged.", "short",
            (Query(f"sum by (cause) ({s.increase(count)}) > 0", "{{cause}}"),), "bars", 12,
            links=labels(CAUSE), empty="none",
        ),
    )  # fmt: skip


def gc_panels(s: Scope) -> tuple[Panel, ...]:
    """Of Python by generation, of Node by kind."""
    return (
        Panel(
            "Time of collections",
            "Share of a worker's time, on average. `0`, `1` and `2` are Python's generations, the others V8's "
            "kinds.",
            "percentunit", (Query(f"avg by (generation) ({s.rate(PAUSES + '_sum')})", "{{generation}}"),),
            steps=(Step(0, "green"), Step(0.2, "red")),
        ),
        Panel(
            "Pauses, 99th percentile", "How long a collection holds the loop.", "s",
            (Query(s.quantile(0.99, PAUSES, "generation"), "{{generation}}"),),
        ),
        Panel(
            "Collections", "Per second, all workers together.", "cps",
            (Query(f"sum by (generation) ({s.rate(PAUSES + '_count')})", "{{generation}}"),),
        ),
    )  # fmt: skip
