"""
Real programs of Node's that leak, and others that only look like it: what is told of each, in days of three
minutes.

Uses leaks.js of tests/targets. One agent watches them all, with the probe and without, and takes captures.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.growing import Programs, leaks_are_told
from support.probed import NODE, TARGETS, needs_node

from vitalsd.cli.run import PRELOAD

OF_NODE = Programs(
    [NODE or "node", str(TARGETS / "leaks.js")],
    {"NODE_OPTIONS": f"--require {PRELOAD}"},
    {"listeners": "leak", "closure": "leak", "map": "leak", "interval": "leak", "churn": None, "warm": None},
    {"map": "leak", "churn": None},
    {
        "listeners": {"subscribe", "Session"},
        "closure": {"rememberCallback"},
        "map": {"lookUp", "CacheEntry"},
        "interval": {"watchConnection", "Session"},
    },
    90.0,
)


@needs_node
@pytest.mark.skipif(os.geteuid() != 0, reason="a program without a probe is read by its own user or root")
def test_leaks_and_what_looks_like_them(tmp_path: Path) -> None:
    """Each leak is told as what it is, with who allocates it; what does not leak never is."""
    leaks_are_told(tmp_path, OF_NODE)
