"""
What the agent costs with ten workers watched, scraped every 15 s the way Prometheus does.

The workers are ten small asyncio services in one target, first with the probe inside, then without.
"""

from __future__ import annotations

import contextlib
import gzip
import sys
import time
from pathlib import Path

from bench.figures import Bar, Figure
from bench.harness import PROBE, Process, fetch, free_ports, process, scratch, wait_for
from bench.pools import AS_PROMETHEUS

SHOWS = "memory and CPU share of the agent with ten workers watched"
BARS = {
    "resident memory": Bar(40, "MiB"),
    "CPU share": Bar(0.5, "% of a core"),
    "resident memory, zero-touch": Bar(40, "MiB"),
    "CPU share, zero-touch": Bar(1.0, "% of a core"),
}

WORKERS = 10
SETTLE_SECONDS = 30.0
WINDOW_SECONDS = 60.0
SCRAPE_SECONDS = 15.0
BURST = 40


def run(quick: bool) -> list[Figure]:
    """Watch ten workers for a while, both ways in."""
    return [*_watch(quick, probed=True), *_watch(quick, probed=False)]


def _watch(quick: bool, *, probed: bool) -> list[Figure]:
    way = "" if probed else ", zero-touch"
    with scratch() as folder, contextlib.ExitStack() as stack:
        segments = folder / "segments"
        for _ in range(WORKERS):
            extra = {**PROBE, "VITALSD_DIR": str(segments), "VITALSD_TARGET": "shop"} if probed else {}
            stack.enter_context(process([sys.executable, "worker.py", folder.name], extra))
        if probed:
            wait_for(lambda: len(list(segments.glob("*.seg"))) == WORKERS, "ten segments")
        port, control = free_ports(2)
        agent = stack.enter_context(_agent(folder, port, control))
        url = f"http://127.0.0.1:{port}/metrics"
        _scrape_now_and_then(url, SETTLE_SECONDS / 10 if quick else SETTLE_SECONDS)
        before, began = agent.cpu_seconds(), time.monotonic()
        _scrape_now_and_then(url, WINDOW_SECONDS / 10 if quick else WINDOW_SECONDS)
        share = 100 * (agent.cpu_seconds() - before) / (time.monotonic() - began)
        memory = agent.memory_bytes()
        return [
            Figure(f"resident memory{way}", memory["VmRSS"] / 2**20, "MiB", BARS[f"resident memory{way}"]),
            Figure(f"of it anonymous{way}", memory["RssAnon"] / 2**20, "MiB"),
            Figure(f"CPU share{way}", share, "% of a core", BARS[f"CPU share{way}"]),
            *(_scrapes(agent, url, share / 100) if probed else ()),
        ]


def _agent(folder: Path, port: int, control: int) -> contextlib.AbstractContextManager[Process]:
    listen = ["--listen", f"127.0.0.1:{port}", "--control-listen", f"127.0.0.1:{control}"]
    command = [sys.executable, "-m", "vitalsd", "watch", "--name", "shop", *listen]
    command += ["--match", rf"worker\.py {folder.name}$"]  # of this run: others may measure on this host, too
    extra = {"VITALSD_DIR": str(folder / "segments"), "VITALSD__STORAGE__DIR": str(folder / "state")}

    def watches_all() -> bool:
        with contextlib.suppress(OSError):
            return fetch(f"http://127.0.0.1:{port}/metrics").count(b'\nvitals_worker_up{target="shop"') == WORKERS
        return False

    return process(command, extra, ready=watches_all, port=port)


def _scrape_now_and_then(url: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        fetch(url, AS_PROMETHEUS)
        time.sleep(min(left, SCRAPE_SECONDS))


def _scrapes(agent: Process, url: str, otherwise: float) -> list[Figure]:
    """What one scrape costs: the CPU time of many in a row, less what the agent uses anyhow."""
    before, began = agent.cpu_seconds(), time.monotonic()
    for _ in range(BURST):
        packed = fetch(url, AS_PROMETHEUS)
    used = agent.cpu_seconds() - before - otherwise * (time.monotonic() - began)
    lines = [line for line in gzip.decompress(packed).splitlines() if not line.startswith(b"#")]
    of_worker = [line for line in lines if b'target="shop"' in line and b'worker="0"' in line]
    return [
        Figure("CPU time of a scrape", 1000 * used / BURST, "ms"),
        Figure("a scrape, compressed", len(packed) / 1024, "KiB"),
        Figure("series", len(lines), ""),
        Figure("series per worker", len(of_worker), ""),
    ]
