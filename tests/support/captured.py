"""Engines beside real processes: the subject, the job, and what must be true of the service afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from support.views import OBSERVED
from vitalsd.capture.engines.registry import Job, Subject
from vitalsd.targets.processes import read_key

if TYPE_CHECKING:
    from vitalsd.model import ProbeVitals

PROC = Path("/proc")


def subject_of(pid: int, segment: Path | None = None, probe: ProbeVitals | None = None) -> Subject:
    """The process as an engine gets it."""
    key = read_key(PROC, pid)
    assert key is not None
    return Subject(replace(OBSERVED, target="shop", slot="0", key=key, probe=probe), segment)


def job_of(subject: Subject, folder: Path, seconds: float = 0.0) -> Job:
    """One capture of it, in a folder of its own."""
    folder.mkdir(mode=0o700)
    return Job("c1", subject, seconds, folder, asyncio.Event(), 64 << 20)


def state_of(pid: int) -> str:
    """The kernel's letter."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]


def looking_at(pid: int) -> list[int]:
    """The processes that have py-spy look at this one; those that have ended and wait for their parent count."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"--pid" in command and str(pid).encode() in command and command[0].endswith(b"py-spy"):
                found.append(int(entry.name))
    return found
