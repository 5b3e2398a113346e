"""
How long it takes until people read who is to blame, by both ways, and what is lost while nobody can be told.

The demo's service blocks; Prometheus scrapes each second and holds alerts for one, so that way is as fast
as it can be. Then it and Alertmanager are away for three minutes, which is many times what an alert lasts without
being told again.
"""

from __future__ import annotations

import sys

from bench.figures import Bar, Figure
from bench.harness import ROOT, scratch

__all__ = ["BARS", "SHOWS", "run"]

SHOWS = "from a fault to what people read, by the agent and by Prometheus; both are away for minutes meanwhile"
BARS = {
    "agent: told twice, or not at all": Bar(0),
    "Prometheus: told twice, or not at all": Bar(0),
    "texts without the culprit": Bar(0),
    "memory of the agent, grown meanwhile": Bar(1.0, "MiB"),
}
AWAY_SECONDS, QUICK_SECONDS = 180.0, 10.0
EXPECTED = ["firing", "resolved"]
BLAMED = "parse_whole_catalogue"


def run(quick: bool) -> list[Figure]:
    """All of it, once."""
    sys.path.append(str(ROOT / "tests"))
    from support.paging import page

    with scratch() as folder:
        paged = page(folder, QUICK_SECONDS if quick else AWAY_SECONDS)
    wrong = [0 if way.states == EXPECTED else 1 for way in (paged.agent, paged.prometheus)]
    unblamed = sum(BLAMED not in text for way in (paged.agent, paged.prometheus) for text in way.texts)
    mebibytes = paged.grown_bytes / (1 << 20)
    values = zip(BARS.items(), (*wrong, unblamed, mebibytes), strict=True)
    return [
        Figure("agent: from the fault to people", paged.seconds[0], "s"),
        Figure("Prometheus: from the fault to people", paged.seconds[1], "s"),
        *(Figure(name, value, bar.unit, bar) for (name, bar), value in values),
    ]
