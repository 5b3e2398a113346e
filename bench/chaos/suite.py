"""All faults of the chaos suite, one after the other, and their table."""

from __future__ import annotations

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
            yield besiege(fault, both, quick=quick)


def rows(found: Iterable[Result]) -> Iterator[tuple[str, ...]]:
    """A row of the table for each fault."""
    for each in found:
        beside = ", ".join(f"{what}: {count}" for what, count in sorted(each.beside.items()))
        counts = each.rounds, each.requests, each.unanswered
        yield (
            *(each.fault.name, each.fault.does, *(f"{count:,}" for count in counts)),
            *(f"{each.longest_seconds * 1000:.0f} ms", f"{each.made}", f"{len(each.lost)}", beside or "nothing"),
            f"{median(each.whole_seconds):.1f} s, at most {max(each.whole_seconds):.1f} s",
        )
