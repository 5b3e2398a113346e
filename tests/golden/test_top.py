"""
The screens of `vitalsd top` as they are drawn; UPDATE_GOLDEN=1 draws them anew, to be looked at.

One of them is the picture in docs/top.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.tops import CannedAgent, capture, event, hear, picture_of, play, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

FOLDER = Path(__file__).parent / "top"
DOCUMENTED = Path(__file__).parents[2] / "docs" / "pictures" / "vitalsd-top.svg"
NARROW, USUAL, WIDE = (44, 18), (80, 24), (110, 32)
DONE = capture(
    state="done",
    progress=None,
    ended_at="2026-07-01T12:00:05.750Z",
    pause_seconds=0.0004,
    artifacts=[
        {"name": "profile.svg", "size_bytes": 61234, "sha256": "6f1c0a", "media_type": "image/svg+xml"},
        {"name": "profile.json", "size_bytes": 21234, "sha256": "6f1c0b", "media_type": "application/json"},
    ],
    summary={
        "top_functions": [{"function": "parse", "file": "/srv/shop/orders.py", "line": 41, "charged_share": 0.71}]
    },
)
SCENES = {
    "workers-narrow": (NARROW, ()),
    "workers": (USUAL, ()),
    "sorted": (USUAL, ("greater_than_sign",) * 3 + ("r",)),
    "filtered": (USUAL, ("slash", *"web", "enter")),
    "worker": (USUAL, ("enter",)),
    "incident": (USUAL, ("tab", "down", "enter")),
    "asking": (USUAL, ("c",)),
    "help": (USUAL, ("question_mark",)),
}
"""What was pressed."""


def drawn(path: Path, picture: str) -> None:
    """It is what was drawn before, or takes its place."""
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(picture, encoding="utf-8")
    assert picture == path.read_text(encoding="utf-8"), f"{path.name} is drawn in another way"


@pytest.mark.parametrize("name", SCENES)
def test_a_screen(name: str) -> None:
    """Of a fleet with something of everything wrong."""
    size, keys = SCENES[name]

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press(*keys)
        await pilot.pause()
        drawn(FOLDER / f"{name}.svg", picture_of(pilot))

    play(look, size)


def test_the_picture_of_the_documentation() -> None:
    """A wide terminal has every column, and the sentence of an incident."""

    async def look(pilot: Pilot[int]) -> None:
        drawn(DOCUMENTED, picture_of(pilot))

    play(look, (120, 30))


def test_a_capture() -> None:
    """While it runs, and what is told of it when it is done."""
    agent = CannedAgent()
    agent.answers["capture"] = capture()

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("c", "down", "enter")
        await until(pilot, "60%")
        drawn(FOLDER / "capture-runs.svg", picture_of(pilot))
        hear(pilot, event("captures", [DONE]))
        await until(pilot, "files in")
        drawn(FOLDER / "capture-done.svg", picture_of(pilot))

    play(look, USUAL, agent)


def test_an_agent_that_is_gone() -> None:
    """It is said since when, and what was known stays to be seen."""

    async def look(pilot: Pilot[int]) -> None:
        app = pilot.app
        app.picture.lose(
            "No agent answers on 127.0.0.1:18781 (Connection refused): start one with `vitalsd watch`."
        )
        app.picture.clock.now += 75
        app.on_heard()
        await pilot.pause()
        drawn(FOLDER / "gone.svg", picture_of(pilot))

    play(look, USUAL)
