"""
Whether stalls of Node services are found, and their causes told right: as `causes`, with Node's scenarios.
"""

from __future__ import annotations

from bench import causes
from bench.figures import Figure
from bench.scenarios import NODE

SHOWS = "the same of Node: recall, length, cause and culprit of stalls, with the probe and without"
BARS = causes.BARS


def run(quick: bool) -> list[Figure]:
    """Play every scenario both ways and print the table that docs/incidents.md shows."""
    return causes.measure(NODE, BARS, quick)
