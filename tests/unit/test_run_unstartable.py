"""What is said of an agent that cannot be started beside a service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vitalsd.cli import run
from vitalsd.cli.run import unstartable


def test_a_python_that_may_not_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom, what, the folder that is shut, and what to do; the kernel tells no path."""
    python = tmp_path / "private" / "venv" / "bin" / "python"
    shut = tmp_path / "private"
    monkeypatch.setattr(run.os, "access", lambda path, _mode: not Path(path).is_relative_to(shut))
    told = unstartable(str(python), PermissionError(13, "Permission denied"))
    uid = os.geteuid()
    assert told.startswith(f"uid {uid} cannot execute {python} (Permission denied), since {shut} does not let")
    assert told.endswith(f"install vitalsd where uid {uid} may read it, or start an agent beside it as root")


def test_what_else_is_in_the_way(tmp_path: Path) -> None:
    """With its path, whether or not the kernel has told it."""
    missing = unstartable("/nowhere/python", FileNotFoundError(2, "No such file or directory"))
    assert missing == f"uid {os.geteuid()} cannot execute /nowhere/python (No such file or directory)"
    assert str(tmp_path) in unstartable("/x", OSError(24, "Too many open files", str(tmp_path)))
