"""The environment in which a Python or Node program arms the probe by itself; loads next to nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["LAUNCH", "PRELOAD", "launched", "node_options"]

LAUNCH = Path(__file__).parent.parent / "probe" / "launch"
PRELOAD = LAUNCH / "preload.js"


def launched(
    environ: Mapping[str, str], target: str, threshold_seconds: float, segment_dir: str | None
) -> dict[str, str]:
    """`environ`, and what the probe is to know."""
    environment = dict(environ)
    earlier = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{LAUNCH}{os.pathsep}{earlier}" if earlier else str(LAUNCH)
    environment["NODE_OPTIONS"] = node_options(environment.get("NODE_OPTIONS"), PRELOAD)
    environment["VITALSD_TARGET"] = target
    environment["VITALSD_STALL_THRESHOLD"] = str(threshold_seconds)
    if segment_dir is not None:
        environment["VITALSD_DIR"] = segment_dir
    return environment


def node_options(earlier: str | None, preload: Path) -> str:
    """What Node is to load before a service, after what it was to load already."""
    quoted = str(preload).replace("\\", "\\\\").replace('"', '\\"')
    ours = f'--require "{quoted}"'
    return ours if not earlier else f"{earlier} {ours}" if ours not in earlier else earlier
