"""
Real programs that leak, and others that only look like it: what is told of each, in days of three minutes.

Uses leaks.py of tests/targets. One agent watches them all, with the probe and without.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.growing import Programs, leaks_are_told
from support.probed import TARGETS

from vitalsd.cli.run import LAUNCH

PYTHON = Programs(
    [sys.executable, str(TARGETS / "leaks.py")],
    {"PYTHONPATH": str(LAUNCH)},
    {
        "dict": "leak",
        "closure": "leak",
        "native": "leak",
        "tasks": "task_leak",
        "threads": "thread_leak",
        "files": "fd_leak",
        "churn": None,
        "warm": None,
    },
    {"dict": "leak", "native": "leak", "files": "fd_leak", "churn": None, "warm": None},
    {},
)


@pytest.mark.skipif(os.geteuid() != 0, reason="a program without a probe is read by its own user or root")
def test_leaks_and_what_looks_like_them(tmp_path: Path) -> None:
    """Each leak is told as what it is, once it leaks and not before; what does not leak never is."""
    leaks_are_told(tmp_path, PYTHON)
