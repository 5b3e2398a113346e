"""What a scrape costs the agent and the wire, with its series per worker, beside what other exporters tell."""

from __future__ import annotations

import contextlib
import gzip
import importlib.metadata
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Bar, Figure
from bench.harness import free_port, listens, process, scratch, wait_for
from bench.peers import NODE_MODULES
from bench.pools import Pool, Watcher, agent, debian, pool, process_exporter, version
from bench.questions.answer import Answer, Row

__all__ = ["HOW", "QUESTION", "ask"]

QUESTION = "What does a scrape cost, and how many series does it bring?"
HOW = """
Processor time is that of many scrapes one after the other, asked the way Prometheus asks, divided by their number,
less what the process takes anyhow. Series and bytes are those of one exposition, as text and as it travels.
Workers have the probe inside, and process-exporter tells of each as a group of its own. prom-client and
prometheus_client answer for one process each, the multiprocess collector for ten that count and time requests.
"""
LEVELS, QUICK_LEVELS = (10, 300), (10, 30)
BURST_SECONDS, QUICK_BURST_SECONDS = 2.0, 1.0
LEAST = 5
"""Scrapes of a burst, however long they take."""
ANYHOW_SECONDS, PEER_ANYHOW_SECONDS = 6.0, 3.0
"""Others do nothing while they are not asked."""
SETTLE_SECONDS = 6.0
SERIES = Bar(120)
CLIENT = NODE_MODULES / "prom-client"
NO_CLIENT = "prom-client is not installed: scripts/bench-packages"


def ask(quick: bool) -> Answer:
    """Ours level by level, then the others."""
    rows: list[Row] = []
    with scratch() as folder, contextlib.ExitStack() as stack:
        probed = stack.enter_context(pool(folder, "probed", probed=True))
        probed.grow(1)
        ours = stack.enter_context(agent(folder, "agent", probed))
        theirs = stack.enter_context(process_exporter(folder, "process-exporter", probed))
        whole = stack.enter_context(debian("node_exporter, the whole host", ["prometheus-node-exporter"]))
        for level in QUICK_LEVELS if quick else LEVELS:
            rows += _level(level, probed, [each for each in (ours, theirs) if each is not None], quick)
        if whole is not None:
            rows.append(_row(whole.name, whole, None, quick))
    rows += _others(quick)
    return Answer(sorted(rows, key=lambda row: not row.ours), _notes())


def _level(level: int, probed: Pool, watchers: Sequence[Watcher], quick: bool) -> list[Row]:
    probed.grow(level)
    ours = watchers[0]
    wait_for(lambda: ours.told().count(b'\nvitals_worker_up{target="shop"') >= level, f"{level} workers told", 120)
    time.sleep(SETTLE_SECONDS)  # newcomers are looked at more closely
    return [_row(f"{each.name}, {level} workers", each, level, quick) for each in watchers]


def _others(quick: bool) -> list[Row]:
    """Libraries that a service has inside."""
    port = free_port()
    python = [sys.executable, "metrics.py", str(port)]
    known = [
        ("prometheus_client, what it tells by itself", python, 1),
        ("prometheus_client, multiprocess of 10 workers", [*python, "10"], 10),
    ]
    if CLIENT.exists():
        known.append(("prom-client, what it tells by itself", ["node", "metrics.js", str(port), str(CLIENT)], 1))
    rows = []
    for name, command, workers in known:
        with process(command, {}, ready=lambda: listens(port), port=port) as started:
            rows.append(_row(name, Watcher(name, started, f"http://127.0.0.1:{port}/metrics"), workers, quick))
    return rows


def _row(name: str, watcher: Watcher, workers: int | None, quick: bool) -> Row:
    milliseconds = _milliseconds(watcher, quick)
    plain, packed = watcher.told(), watcher.scrape()
    sent = len(packed) if packed[:2] == b"\x1f\x8b" else len(gzip.compress(packed))
    series = [line for line in plain.splitlines() if line and not line.startswith(b"#")]
    figures: dict[str, Figure | str] = {
        "CPU of a scrape": Figure("", milliseconds, "ms"),
        "as text": Figure("", len(plain) / 1024, "KiB"),
        "compressed": Figure("", sent / 1024, "KiB"),
        "series": f"{len(series)}",
    }
    if workers is not None:
        if watcher.ours:
            series = [line for line in series if b'target="shop"' in line and b'worker="' in line]
        figures["CPU per worker"] = Figure("", 1000 * milliseconds / workers, "us")
        figures["bytes per worker"] = f"{len(plain) / workers:.0f}, compressed {sent / workers:.0f}"
        each = len(series) / workers
        figures["series per worker"] = Figure("", each, "", SERIES if watcher.ours else None)
    return Row(name, figures, watcher.ours)


def _milliseconds(watcher: Watcher, quick: bool) -> float:
    """Of processor time, of one."""
    watcher.scrape()
    before, began = watcher.cpu_seconds(), time.monotonic()
    time.sleep(PEER_ANYHOW_SECONDS if quick or not watcher.ours else ANYHOW_SECONDS)
    anyhow = (watcher.cpu_seconds() - before) / (time.monotonic() - began)
    before, began, made = watcher.cpu_seconds(), time.monotonic(), 0
    while made < LEAST or time.monotonic() - began < (QUICK_BURST_SECONDS if quick else BURST_SECONDS):
        watcher.scrape()
        made += 1
    spent = watcher.cpu_seconds() - before - anyhow * (time.monotonic() - began)
    return 1000 * max(0.0, spent) / made


def _notes() -> list[str]:
    peers = [version("prometheus-process-exporter"), version("prometheus-node-exporter")]
    peers.append(f"prometheus_client {importlib.metadata.version('prometheus_client')}")
    if CLIENT.exists():
        peers.append(f"prom-client {json.loads(Path(CLIENT / 'package.json').read_text())['version']}")
    told = f"Peers: {'; '.join(peers)}."
    return [told] if CLIENT.exists() else [told, f"{NO_CLIENT}."]
