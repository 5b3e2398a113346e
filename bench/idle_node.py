"""
What Node's probe costs a service that does nothing: processor time, and memory. http with and without, at once.

PSS is what ending it would give back; RSS counts what all of them have mapped alike, and is what tools show.
"""

from __future__ import annotations

import contextlib
import time

from bench.figures import Bar, Figure, estimate, paired
from bench.harness import NODE_PROBE, Process, scratch, web_service
from bench.idle import PAIRS, SETTLE_SECONDS, WINDOW_SECONDS, shares

SHOWS = "CPU share and memory the probe adds to an idle http server of Node's"
VARIANTS: dict[str, dict[str, str]] = {
    "bare": {},
    "probe": NODE_PROBE,
    "monitorEventLoopDelay, 10 ms": {"BENCH_MONITOR_MS": "10"},
}
BARS = {"probe, PSS": Bar(12, "MiB"), "probe, RSS": Bar(12, "MiB")}
MEBIBYTE = 1 << 20


def run(quick: bool) -> list[Figure]:
    """Measure pairs of services."""
    with scratch() as folder, contextlib.ExitStack() as stack:
        groups: dict[str, list[Process]] = {
            name: [
                stack.enter_context(
                    web_service("node", extra={**extra, "VITALSD_DIR": str(folder)} if name == "probe" else extra)
                )
                for _ in range(1 if quick else PAIRS)
            ]
            for name, extra in VARIANTS.items()
        }
        time.sleep(2.0 if quick else SETTLE_SECONDS)
        measured = shares(groups, 2.0 if quick else WINDOW_SECONDS)
        rss = {name: [one.memory_bytes()["VmRSS"] for one in group] for name, group in groups.items()}
        pss = {name: [one.pss_bytes() for one in group] for name, group in groups.items()}
    bare = measured.pop("bare")
    figures = [estimate("a bare service", bare, "% of a core")]
    for name, windows in measured.items():
        added = [paired(a, b, _more) for a, b in zip(bare, windows, strict=True)]
        figures.append(estimate(f"{name}, CPU", added, "% of a core"))
    for name in measured:
        for kind, bytes_of in (("PSS", pss), ("RSS", rss)):
            more = [[value / MEBIBYTE] for value in paired(bytes_of["bare"], bytes_of[name], _more)]
            figures.append(estimate(f"{name}, {kind}", more, "MiB", BARS.get(f"{name}, {kind}")))
    return figures


def _more(bare: float, other: float) -> float:
    return other - bare
