"""
What Node's probe costs a service at full load: requests per CPU second, and per second, with and without.

As `throughput` does it, with a plain http server; Node's own monitorEventLoopDelay, which many services run
already, is measured the same way for comparison. CPU seconds are those of all threads, so the probe's own thread
counts, and V8's.
"""

from __future__ import annotations

from bench.figures import Bar, Figure
from bench.harness import NODE_PROBE, scratch
from bench.throughput import REFERENCE_STARTS, STARTS, compare, figures_of

SHOWS = "throughput of a saturated http server of Node's with the probe over that without it"
NAME = "probe, http on Node"
BARS = {f"{NAME}, {per}": Bar(0.99, at_least=True) for per in ("per CPU second", "per second")}
WARM_UP_SECONDS = 4.0
"""By then V8 has compiled what it will."""
REFERENCES: dict[str, dict[str, str]] = {
    "nothing (the noise of this method)": {},
    "monitorEventLoopDelay, 10 ms": {"BENCH_MONITOR_MS": "10"},
}


def run(quick: bool) -> list[Figure]:
    """Measure the probe, and what else there is."""
    with scratch() as folder:
        extra = {**NODE_PROBE, "VITALSD_DIR": str(folder)}
        figures = figures_of(
            NAME, compare("node", "", extra, STARTS, quick, WARM_UP_SECONDS), BARS[f"{NAME}, per second"]
        )
    for name, extra in REFERENCES.items():
        figures += figures_of(name, compare("node", "", extra, REFERENCE_STARTS, quick, WARM_UP_SECONDS), None)
    return figures
