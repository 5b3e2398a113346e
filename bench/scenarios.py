"""
The scenarios of `tests/targets/scenarios`, by runtime: programs that stall for known causes, and healthy controls.

Each writes down what it did; all speak the protocol of their `scenery`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.harness import NODE_PROBE, PROBE, ROOT

__all__ = ["NODE", "PYTHON", "WAYS", "Runtime", "Way"]

Way = str
WAYS: tuple[Way, ...] = ("probe", "zero-touch")
FOLDER = ROOT / "tests" / "targets" / "scenarios"


@dataclass(frozen=True)
class Runtime:
    """What is played of one runtime, and how. A scenario is a file, and its arguments after that."""

    interpreter: str
    folder: Path
    probe: Mapping[str, str]
    """The environment that brings the probe."""
    scenarios: tuple[str, ...]
    controls: tuple[str, ...]
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What the interpreter of a scenario has to be told."""

    def command(self, scenario: str) -> list[str]:
        """The program of one scenario, as it is started."""
        script, *arguments = scenario.split()
        (file,) = self.folder.glob(f"{script}.*")
        return [self.interpreter, *self.flags.get(scenario, ()), str(file), *arguments]


PYTHON = Runtime(
    interpreter=sys.executable,
    folder=FOLDER,
    probe=PROBE,
    scenarios=(
        *("blocking_cpu", "blocking_in_a_crowd", "blocking_sleep", "blocking_socket", "blocking_child", "disk_io"),
        *("gc_pause", "gil_held", "lock_wait", "ready_flood", "page_faults"),
        *("stopped", "cpu_throttled", "cpu_contention"),
    ),
    controls=(
        *("control_idle", "control_busy", "control_saturated", "control_bursts", "control_start"),
        *("control_spinning", "control_spinning uvloop"),
    ),
)
NODE = Runtime(
    interpreter="node",
    folder=FOLDER / "node",
    probe=NODE_PROBE,
    scenarios=(
        *("blocking_cpu", "blocking_async", "regex", "pbkdf2", "blocking_child", "blocking_fifo", "disk_io"),
        *("nexttick_flood", "promise_flood", "gc_pause", "lock_wait"),
        *("stopped", "cpu_throttled", "cpu_contention"),
    ),
    controls=(
        *("control_idle", "control_busy", "control_saturated", "control_bursts", "control_start"),
        "control_worker",
    ),
    flags={"gc_pause": ("--expose-gc",)},
)
