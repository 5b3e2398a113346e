"""
For how long V8 holds a Node service as it begins a CPU profile, and for a heap snapshot, by the heap in use.

A Node has so many MiB of small objects and asks its own inspector. Told are the seconds for each MiB in which its
thread had a processor, which on a host at rest is how long it holds, and how much longer it held here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from statistics import median
from typing import Any

from bench.figures import Bar, Figure

SHOWS = "how long V8 holds a Node for the start of a profile and for a snapshot, by the heap in use"
BARS: dict[str, Bar] = {}
PROGRAM = Path(__file__).parent / "services" / "heaps.js"
HEAPS_MIB, QUICK_HEAPS_MIB = (10, 40, 100, 200), (10,)
ROOM_MIB = 8192
"""For the snapshot, of which all but the file is in V8's heap for a moment."""


def run(quick: bool) -> list[Figure]:
    """Nothing, where there is no Node."""
    node = shutil.which("node")
    if node is None:
        return []
    figures = []
    for mib in QUICK_HEAPS_MIB if quick else HEAPS_MIB:
        options = ["--expose-gc", f"--max-old-space-size={ROOM_MIB}"]
        done = subprocess.run([node, *options, str(PROGRAM), str(mib)], capture_output=True, check=True)
        told: dict[str, Any] = json.loads(done.stdout)
        used = told["used"] / (1 << 20)
        figures += [
            *_figures(f"start of a profile, {used:.0f} MiB", told["profiles"], used),
            *_figures(f"snapshot, {used:.0f} MiB", [told["snapshot"]], used),
        ]
    return figures


def _figures(name: str, taken: list[dict[str, float]], mib: float) -> list[Figure]:
    computed, held = (median(each[what] for each in taken) for what in ("computed", "held"))
    return [
        Figure(f"{name}: of a processor", 1000 * computed / mib, "ms per MiB"),
        Figure(f"{name}: held here", held / computed, "times that"),
    ]
