"""`vitalsd budget` as a user calls it, over the programs of tests/targets/budgeted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from support.probed import TARGETS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BUDGETED", "Judged", "budget", "command", "culprits", "environment"]

BUDGETED = TARGETS / "budgeted"
SECONDS = 90


class Judged(msgspec.Struct):
    """One run."""

    code: int
    out: str
    err: str
    report: dict[str, Any]

    def of(self, outcome: str) -> list[dict[str, Any]]:
        """The checks that came out so."""
        return [check for check in self.report["checks"] if check["outcome"] == outcome]


def environment(**more: str) -> dict[str, str]:
    """Ours, in which nothing says that this is a CI."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{plain['PATH']}"
    return {**plain, "PATH": path, **more}


def command(report: Path, *words: str) -> list[str]:
    """The command line with a report."""
    return [sys.executable, "-m", "vitalsd", "budget", "--json", str(report), *words]


def budget(folder: Path, *words: str, given: Mapping[str, str] | None = None) -> Judged:
    """Run it to its end; the report is empty where there was no run."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    done = subprocess.run(
        command(report, *words),
        cwd=BUDGETED,
        env=environment(**(given or {})),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS,
        check=False,
    )
    read = json.loads(report.read_text()) if report.exists() else {}
    return Judged(done.returncode, done.stdout, done.stderr, read)


def culprits(judged: Judged) -> set[str]:
    """The functions that are blamed."""
    return {check["culprit"]["function"] for check in judged.of("exceeded") if check["culprit"]}
