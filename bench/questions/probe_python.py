"""What the probe costs a Python service, beside what other monitors and profilers do."""

from __future__ import annotations

from bench import peers
from bench.figures import Bar, Figure
from bench.harness import PROBE
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

QUESTION = "What does the probe cost a Python service?"
HOW = """
A small service on uvicorn, 100 us of work a request, on asyncio and on uvloop. Two of them at a time, one bare and
one with the monitor, are pinned to one core and loaded in turn for a tenth of a second, ABBA, by four connections
from the other core; each pair is started anew several times. Ratios are medians over pairs of rounds, with a 95 %
interval. Two processes of the same program differ by up to a percent, as the first row shows: what our hooks
cost is therefore measured in one process too, which has them taken out and put back between rounds. At rest
all services run at the same time, and each has its bare one beside it; a profiler that looks from outside counts
with what it takes itself (`python -m bench questions probe_python`).
"""
LOOPS = ("asyncio", "uvloop")
OF_A_LOOP = 2
"""Of the monitors: the others do on uvloop what they do on asyncio."""
BARS = {CPU_SECOND: Bar(0.995, at_least=True), IDLE: Bar(0.05, "% of a core"), MEMORY: Bar(3, "MiB")}
OURS = "vitalsd's probe"
HOOKS = "vitalsd's hooks, out of and in one process"
MONITORS = (
    Monitor("bare, beside bare"),
    Monitor(OURS, {**PROBE, "VITALSD_DIR": FOLDER}, starts=5, ours=True),
    Monitor("asyncio debug mode", {"BENCH_DEBUG": "1"}),
    Monitor("20 ms call_later", {"BENCH_BEAT_SECONDS": "0.02"}),
    Monitor("aiodebug", {"BENCH_PEER": "aiodebug", "BENCH_FOLDER": FOLDER}, package="aiodebug"),
    Monitor("ddtrace, runtime metrics", {"BENCH_PEER": "ddtrace_metrics"}, package="ddtrace"),
    Monitor("ddtrace, profiler", {"BENCH_PEER": "ddtrace_profiler"}, package="ddtrace"),
    Monitor(
        "OpenTelemetry, asyncio and system metrics",
        {"BENCH_PEER": "opentelemetry"},
        package="opentelemetry-instrumentation-asyncio",
    ),
    Monitor(
        "prometheus_client in an ASGI middleware, multiprocess",
        {"BENCH_PEER": "prometheus", "PROMETHEUS_MULTIPROC_DIR": FOLDER},
        package="prometheus-client",
    ),
    Monitor("py-spy record, 100 Hz, --nonblocking", {"BENCH_BESIDE": "py-spy"}, package="py-spy"),
    Monitor("py-spy record, 100 Hz", {"BENCH_BESIDE": "py-spy that pauses"}, package="py-spy"),
)
PAIRS = 5
OUR_PAIRS = 15
WARM_UP_SECONDS = 0.3
HOOKS_STARTS, HOOKS_PAIRS = 4, 30
SETTLE_SECONDS = 20.0


def ask(quick: bool) -> Answer:
    """Under load first, at rest then."""
    here = [monitor for monitor in MONITORS if not_to_be_had(monitor) is None]
    rest = at_rest([("uvicorn", loop) for loop in LOOPS], here, BARS, SETTLE_SECONDS, quick=quick)
    rows = []
    for loop in LOOPS:
        for monitor in MONITORS if loop == LOOPS[0] else MONITORS[:OF_A_LOOP]:
            figures = not_to_be_had(monitor) or {**_loaded(monitor, loop, quick), **rest[loop][monitor.name]}
            rows.append(Row(f"{monitor.title}, {loop}", figures, monitor.ours))
            if monitor.ours:
                hooks = under_load(_hooks(loop, quick), BARS[CPU_SECOND])
                rows.append(Row(f"{HOOKS}, {loop}", hooks, ours=True))
    return Answer(rows, [_versions()])


def _loaded(monitor: Monitor, loop: str, quick: bool) -> dict[str, Figure | str]:
    pairs = OUR_PAIRS if monitor.ours else PAIRS
    with own_folder(monitor.extra) as extra:
        return under_load(
            compare(
                "uvicorn", loop, extra, monitor.starts, quick, WARM_UP_SECONDS, pairs=pairs, service=peers.service
            )
        )


def _hooks(loop: str, quick: bool) -> Rounds:
    starts, pairs = (1, 2) if quick else (HOOKS_STARTS, HOOKS_PAIRS)
    return in_and_out("uvicorn", loop, PROBE, starts, pairs, service=peers.service)


def _versions() -> str:
    return f"uvicorn {peers.version('uvicorn')}, uvloop {peers.version('uvloop')}."
