"""
The stacks of all threads of a process, as its probe tells them by the control socket.

Within two seconds, since that is how often a probe looks who calls; Python's that sleeps is woken by it. What it
costs the service, `probe/python/allstacks.py` says. It is judged like anything that a process says of itself.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from vitalsd.capture.census import NoCensus, ask_probe, number, split_answer
from vitalsd.capture.pyspy import ThreadStack
from vitalsd.model import Frame
from vitalsd.probe.python.protocol import MAGIC, REQUEST, STACKS, VERSION

__all__ = ["ProbeStacks", "list_stacks", "parse_stacks"]

PATIENCE_SECONDS = 10.0
MOST_HELD_NS = 10**12


class ProbeStacks(msgspec.Struct, frozen=True):
    """What it told."""

    threads: list[ThreadStack]
    untold: int
    """Threads beyond those that it tells."""
    held_seconds: float
    """For how long at a time it held the interpreter, at the most."""


async def list_stacks(path: Path, pid: int, *, patience: float = PATIENCE_SECONDS) -> ProbeStacks:
    """The threads of process `pid`. Raises NoCensus, whatever goes wrong."""
    return parse_stacks(await ask_probe(path, pid, REQUEST.pack(MAGIC, VERSION, STACKS, 1, 0), patience), pid)


def parse_stacks(text: str, pid: int) -> ProbeStacks:
    """The answer of process `pid`. Raises NoCensus."""
    head, rows = split_answer(text)
    threads: list[tuple[int, str, list[Frame]]] = []
    try:
        for row in rows:
            if len(row) == 2:
                threads.append((number(row[0]), row[1], []))
            else:
                function, file, line = row
                threads[-1][2].append(Frame(function, file, number(line)))
        held = int(head["held_ns"])
        if not 0 <= held < MOST_HELD_NS:
            raise ValueError(f"{held} ns is no time")  # noqa: TRY301 - it is told like all that is wrong with it
        return ProbeStacks(
            [
                ThreadStack(thread or None, name, active=None, owns_gil=None, frames=tuple(frames))
                for thread, name, frames in threads
            ],
            number(head["untold"]),
            held / 1e9,
        )
    except (ValueError, KeyError, IndexError) as error:
        raise NoCensus(f"The stacks of process {pid} cannot be read: {error}") from None
