"""What Prometheus's own linter says of our metrics."""

import shutil
import subprocess
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "exposition.txt"


def test_promtool_finds_nothing_to_say():
    """Names, types and help texts follow the conventions that promtool knows."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    with GOLDEN.open("rb") as exposition:
        check = subprocess.run([promtool, "check", "metrics"], stdin=exposition, capture_output=True, text=True)
    assert (check.returncode, check.stdout + check.stderr) == (0, "")
