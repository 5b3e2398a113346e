"""
Draws every dashboard of deploy/grafana from what really happens: minutes of both services with their faults.

`scripts/dashboard-pictures` calls it; what it writes is committed, since the README shows it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from support.curves import Answers
from support.dashboards import FILES, load, variables
from support.drawing import as_svg
from support.showing import Shown, showing

__all__ = ["main"]

STEP_SECONDS = 15
CHOSEN = {
    "vitalsd-fleet": {},
    "vitalsd-service": {"target": "shop"},
    "vitalsd-worker": {"target": "shop", "worker": "0"},
}
STORY = (
    ("leak", 0, 55), ("block", 0, 15), ("error_surge", 0, 15), ("executor", 0, 15), ("gc_storm", 0, 10),
    ("sync_call", 1, 15), ("task_leak", 0, 15), ("ready_flood", 0, 15), ("crash", 1, 1),
)  # fmt: skip
"""One fault after the other, by worker and seconds."""
REST_SECONDS = 8
DAY = "40m"
"""Of the agent's: growth is known from 50 s on."""


def play(shown: Shown, seconds: float) -> None:
    """The story, over and over, with what people do in between."""
    until, number = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        name, place, lasts = STORY[number % len(STORY)]
        shown.fault(place, name, lasts)
        if name == "block":
            shown.agent.command("capture", "stacks", "shop/0", *shown.agent.listens)
        time.sleep(min(lasts + REST_SECONDS, max(0.0, until - time.monotonic())))
        number += 1


def main() -> None:
    """Play, ask, draw."""
    parser = argparse.ArgumentParser(description="Draw the dashboards from real data.")
    parser.add_argument("--minutes", type=float, default=5, help="for how long the faults go on (%(default)s)")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    begin = time.time()
    with (
        tempfile.TemporaryDirectory(prefix="vitalsd-", dir="/dev/shm") as folder,
        showing(Path(folder), DAY, VITALSD__CAPTURE__AUTOMATIC="true") as shown,
    ):
        play(shown, asked.minutes * 60)
        end = time.time() // STEP_SECONDS * STEP_SECONDS
        for path in FILES:
            board = load(path)
            chosen = {name: CHOSEN[path.stem].get(name, ".+") for name in variables(board)}
            answers = Answers(shown.prometheus, begin // STEP_SECONDS * STEP_SECONDS, end, chosen, STEP_SECONDS)
            (asked.output / f"{path.stem}.svg").write_text(as_svg(board, answers), encoding="utf-8")


if __name__ == "__main__":
    main()
