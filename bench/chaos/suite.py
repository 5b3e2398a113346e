"""
All faults of the chaos suite, one after the other, and their table.

What the bench itself fails at costs the rest of one fault and no other: it is told, and the whole has failed.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from bench.chaos import agent, network, processes, storage
from bench.chaos.fault import Fault, Result
from bench.chaos.scene import besiege, services

__all__ = ["FAULTS", "HEADINGS", "results", "rows"]

FAULTS: tuple[Fault, ...] = (*agent.FAULTS, *storage.FAULTS, *processes.FAULTS, *network.FAULTS)
HEADINGS = (
    *("what is done", "how", "rounds", "requests", "failed", "longest", "incidents", "lost", "lost beside"),
    "whole again after",
)


def results(faults: Sequence[Fault], quick: bool) -> Iterator[Result]:
    """What came of each, as soon as it is known; those that cannot be done here are left out, and it is said."""
    with services() as both:
        for fault in faults:
            lacking = fault.needs()
            if lacking:
                print(f"left out: {fault.name}: {lacking}", flush=True)
                continue
            result = Result(fault)
            try:
                besiege(result, both, quick=quick)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other faults are asked for
                traceback.print_exc()
                result.broken = f"{type(error).__name__}: {error}"
            yield result


def rows(found: Iterable[Result]) -> Iterator[tuple[str, ...]]:
    """A row of the table for each fault."""
    for each in found:
        beside = ", ".join(f"{what}: {count}" for what, count in sorted(each.beside.items()))
        beside = f"the bench failed: {each.broken}" if each.broken else beside
        counts = each.rounds, each.requests, each.unanswered
        yield (
            *(each.fault.name, each.fault.does, *(f"{count:,}" for count in counts)),
            *(f"{each.longest_seconds * 1000:.0f} ms", f"{each.made}", f"{len(each.lost)}", beside or "nothing"),
            f"{median(each.whole_seconds):.1f} s, at most {max(each.whole_seconds):.1f} s"
            if each.whole_seconds
            else "never",
        )
