"""Real programs with the probe inside, and what their segments say."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.waiting import wait_for
from vitalsd.cli.run import LAUNCH, PRELOAD, node_options
from vitalsd.segment.reader import SegmentError, SegmentFile
from vitalsd.segment.vitals import read_vitals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vitalsd.model import LoopVitals, ProbeVitals

TARGETS = Path(__file__).parent.parent / "targets"
NODE = shutil.which("node") or shutil.which("nodejs")
needs_node = pytest.mark.skipif(NODE is None, reason="there is no node on PATH: install nodejs")
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


def find_python(version: str) -> str | None:
    """An interpreter of this version: the one that runs the tests, one on PATH, or one of pyenv's."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *map(str, sorted(root.glob(f"{version}.*/bin/python")))]
    return next((candidate for candidate in candidates if candidate and _answers(candidate, version)), None)


def _answers(python: str, version: str) -> bool:
    asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=30)
    return answer.returncode == 0 and answer.stdout.strip() == version


def open_to_all(python: str) -> bool:
    """Whether `nobody` may run this interpreter and read the probe."""
    asked = [python, "-c", f"import asyncio, mmap; open({str(LAUNCH.parent / 'python' / 'active.py')!r}).close()"]
    return (
        Path(python).exists() and subprocess.run(asked, user=65534, capture_output=True, cwd="/").returncode == 0
    )


class Probed:
    """A process that was started with the probe."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.pid = process.pid

    def line(self, beginning: str = "ready") -> str:
        """The next line it prints, which must begin so."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(beginning), f"expected {beginning!r}, got {line!r}"
        return line.strip()

    def segments(self) -> dict[int, SegmentFile]:
        """The segments in its folder by pid; close them."""
        found = {}
        for path in self.folder.glob("*.seg"):
            with contextlib.suppress(SegmentError):
                found[int(path.name.split("-")[1])] = SegmentFile(path)
        return found

    def vitals(self, pid: int | None = None) -> ProbeVitals | None:
        """What the segment of this process, or of `pid`, says now."""
        segments = self.segments()
        try:
            segment = segments.get(pid or self.pid)
            return read_vitals(segment, time.monotonic(), time.time()) if segment is not None else None
        finally:
            for opened in segments.values():
                opened.close()

    def wait_vitals(self, what: str, fits: Callable[[ProbeVitals], bool], pid: int | None = None) -> ProbeVitals:
        """The first vitals that fit."""

        def look() -> ProbeVitals | None:
            vitals = self.vitals(pid)
            return vitals if vitals is not None and fits(vitals) else None

        return wait_for(what, look)

    def wait_loop(self, what: str, fits: Callable[[LoopVitals], bool]) -> LoopVitals:
        """The first state of the main loop that fits."""
        vitals = self.wait_vitals(what, lambda vitals: any(fits(loop) for loop in vitals.loops))
        return next(loop for loop in vitals.loops if fits(loop))

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """End it: exit code, what was left of stdout, and stderr."""
        self.process.send_signal(number)
        return self.finish()

    def finish(self, seconds: float = 20.0) -> tuple[int, str, str]:
        """Let it end by itself."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err


@contextlib.contextmanager
def probed(
    command: Sequence[str], folder: Path, python: str = sys.executable, **environment: str
) -> Iterator[Probed]:
    """Start one of `tests/targets` (or any command, if it is a path) with the probe; it is killed at the end."""
    program = str(TARGETS / command[0]) if not Path(command[0]).is_absolute() else command[0]
    starts = {".py": [python], ".js": [NODE or "node"], ".mjs": [NODE or "node"]}
    arguments = [*starts.get(Path(program).suffix, []), program, *command[1:]]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VITALSD")}
    variables = {
        **inherited,
        "PYTHONPATH": str(LAUNCH),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NODE_OPTIONS": node_options(None, PRELOAD),
        "VITALSD_DIR": str(folder),
        **environment,
    }
    if "NODE_OPTIONS_MORE" in variables:
        variables["NODE_OPTIONS"] += f" {variables.pop('NODE_OPTIONS_MORE')}"
    process = subprocess.Popen(
        arguments,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Probed(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
