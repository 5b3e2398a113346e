"""
Hostile days: what is done to the agent, to its files, to processes and to the network, and what is lost by it.

`suite` has the faults in which known incidents are made, before, in the course of and after each; `captures` those
in the middle of a capture. `python -m bench.chaos --page FILE` writes the table of a page.
"""

from __future__ import annotations

from bench.chaos import captures, suite
from bench.figures import Bar, Figure

__all__ = ["BARS", "SHOWS", "run"]

SHOWS = "agent, children, files, processes and network fail: no request of a service fails, no incident is lost"
UNANSWERED, STOPPED = "faults: requests that were not answered", "faults: looks that found the service stopped"
LOST = "faults: incidents lost"
BARS = {**captures.BARS, **dict.fromkeys((UNANSWERED, STOPPED, LOST), Bar(0))}


def run(quick: bool) -> list[Figure]:
    """Both, one after the other."""
    figures = captures.run(quick)
    found = list(suite.results(suite.FAULTS, quick))
    for each in found:
        for lost in each.lost:
            print(f"{each.fault.name}: {lost}")
    unanswered, stopped = sum(each.unanswered for each in found), sum(each.stopped for each in found)
    counts = {UNANSWERED: unanswered, STOPPED: stopped, LOST: sum(len(each.lost) for each in found)}
    return [
        *figures,
        Figure("faults", len(found), ""),
        Figure("faults: rounds", sum(each.rounds for each in found), ""),
        Figure("faults: requests", sum(each.requests for each in found), ""),
        Figure("faults: incidents made", sum(each.made for each in found), ""),
        *(Figure(name, count, "", BARS[name]) for name, count in counts.items()),
    ]
