"""What the probe costs a Node service, beside what other monitors do."""

from __future__ import annotations

from bench import peers
from bench.figures import Bar, Figure
from bench.harness import NODE_PROBE
from bench.questions.answer import Answer, Row
from bench.questions.cost import (
    CPU_SECOND,
    FOLDER,
    IDLE,
    MEMORY,
    Monitor,
    at_rest,
    not_to_be_had,
    own_folder,
    under_load,
)
from bench.throughput import Rounds, compare, in_and_out

QUESTION = "What does the probe cost a Node service?"
HOW = """
A small service on Node's own http server, 100 us of work a request. Two of them at a time, one bare and one with
the monitor, are pinned to one core and loaded in turn for a tenth of a second, ABBA, by four connections from the
other core, once V8 has compiled what it will; each pair is started anew, twice or more. CPU seconds are those of
all threads, those of V8 and of the monitor too. Ratios are medians over pairs of rounds, with a 95 % interval; the
first row tells how much two processes of the same program differ. That is more than our hooks cost, so one process
has them taken out and put back between rounds of 0.3 s too; the probe's thread looks at the loop while they are
in. At rest all services run at the same time, each with its bare one beside it; memory is PSS, which ending the
monitor would give back. Of fastify's plugin the bare service is on fastify too
(`python -m bench questions probe_node`).
"""
KIND = "node"
BARS = {CPU_SECOND: Bar(0.995, at_least=True), IDLE: Bar(0.05, "% of a core"), MEMORY: Bar(12, "MiB")}
FASTIFY = {"BENCH_FASTIFY": "1"}
HOOKS = "vitalsd's hooks, out of and in one process"
MONITORS = (
    Monitor("bare, beside bare"),
    Monitor("vitalsd's probe", {**NODE_PROBE, "VITALSD_DIR": FOLDER}, starts=3, ours=True),
    Monitor("monitorEventLoopDelay, 10 ms", {"BENCH_MONITOR_MS": "10"}),
    Monitor("prom-client, default metrics", {"BENCH_PEER": "prom-client"}, package="prom-client"),
    Monitor(
        "@prometheus-io/client, default metrics",
        {"BENCH_PEER": "@prometheus-io/client"},
        package="@prometheus-io/client",
    ),
    Monitor(
        "@fastify/under-pressure",
        {"BENCH_PEER": "@fastify/under-pressure"},
        bare=FASTIFY,
        package="@fastify/under-pressure",
    ),
    Monitor("dd-trace, runtime metrics", {"BENCH_PEER": "dd-trace"}, package="dd-trace"),
    Monitor("V8's sampling profiler, 1 ms", {"BENCH_PEER": "profiler"}),
    Monitor("blocked-at", {"BENCH_PEER": "blocked-at"}, package="blocked-at"),
)
PAIRS = 5
OUR_PAIRS = 15
WARM_UP_SECONDS = 1.5
QUICK_WARM_UP_SECONDS = 0.3
HOOKS_STARTS, HOOKS_PAIRS, HOOKS_WARM_UP_SECONDS = 3, 28, 4.0
HOOKS_ROUND_SECONDS = 0.3
"""A meter that is put back begins with a heartbeat and a reading that one that goes on does not have."""
SETTLE_SECONDS = 33.0
"""By then a loop that nothing comes to has been found to be at rest, and silent."""


def ask(quick: bool) -> Answer:
    """At rest first, under load then."""
    here = [monitor for monitor in MONITORS if not_to_be_had(monitor) is None]
    rest = at_rest([(KIND, KIND)], here, BARS, SETTLE_SECONDS, quick=quick)[KIND]
    rows = []
    for monitor in MONITORS:
        figures = not_to_be_had(monitor) or {**_loaded(monitor, quick), **rest[monitor.name]}
        rows.append(Row(monitor.title, figures, monitor.ours))
        if monitor.ours:
            rows.append(Row(HOOKS, under_load(_hooks(quick), BARS[CPU_SECOND]), ours=True))
    notes = [f"fastify {peers.version('fastify')}."] if peers.version("fastify") else []
    return Answer(rows, notes)


def _hooks(quick: bool) -> Rounds:
    starts, pairs = (1, 2) if quick else (HOOKS_STARTS, HOOKS_PAIRS)
    return in_and_out(
        KIND,
        "",
        NODE_PROBE,
        starts,
        pairs,
        HOOKS_WARM_UP_SECONDS,
        peers.service,
        round_seconds=HOOKS_ROUND_SECONDS,
    )


def _loaded(monitor: Monitor, quick: bool) -> dict[str, Figure | str]:
    with own_folder(monitor.extra) as extra:
        rounds = compare(
            KIND,
            "",
            extra,
            monitor.starts,
            quick,
            QUICK_WARM_UP_SECONDS if quick else WARM_UP_SECONDS,
            bare=monitor.bare,
            pairs=OUR_PAIRS if monitor.ours else PAIRS,
            service=peers.service,
        )
    return under_load(rounds)
