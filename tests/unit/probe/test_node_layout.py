"""The Node probe writes the layout that the Python probe defines."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_it_is_the_generated_one():
    """After a change of the layout: `scripts/node-layout > agent/vitalsd/probe/node/layout.json`."""
    script = [sys.executable, str(ROOT / "scripts" / "node-layout")]
    generated = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "agent" / "vitalsd" / "probe" / "node" / "layout.json").read_text() == generated
