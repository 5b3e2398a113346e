"""Names and texts that services choose: on a terminal they are letters, whatever is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from support.tops import CannedAgent, capture, event, fleet, hear, incidents, play, seen, until
from support.views import BLOCKED, BLOCKING

from vitalsd_exporters.web.targets import targets_as_json

if TYPE_CHECKING:
    from textual.pilot import Pilot

EVIL = [
    "\x1b[31mred\x1b]0;title\x07\x9b2J",
    "[red]markup[/] [@click=app.quit]here[/] [/nothing",
    "\u202eflipped\u2066 \u200bhidden\u0000\r\n\ttabs",
    "x" * 10_000,
    "\ud83d\ude00 家族👨‍👩‍👧 e\u0301 \uffff",
    "{0} %s $x `$(reboot)`",
]


def _evil(text: str):
    """The fleet with this in every place that somebody else may have written."""
    targets, view = fleet()
    worker = targets[0].workers[0]
    loop = replace(worker.probe.loops[0], name=text)
    frame = replace(BLOCKED.frames[0], function=text, file=text)
    stack = replace(BLOCKED, frames=(frame,))
    loop = replace(loop, recent_stalls=(replace(loop.recent_stalls[0], stacks=(stack,)),))
    probe = replace(worker.probe, loops=(loop,), version=text, runtime=text)
    evil = replace(worker, target=text, slot=text, command=text, probe=probe, missing={text: text})
    view.all_targets = (replace(targets[0], name=text, workers=(evil,)), *targets[1:])
    told = {"function": text, "file": text, "line": 1}
    found = replace(
        BLOCKING,
        target=text,
        worker=text,
        cause=text,
        culprit=frame,
        summary=text,
        evidence={"reason": text, "by_type": {text: 1}, "stacks": [{"samples": 1, "frames": [told]}]},
        timeline=({"at": 0.0, "event": "opened", "text": text},),
    )
    return targets_as_json(view), found


@pytest.mark.parametrize("text", EVIL, ids=["escapes", "markup", "invisible", "long", "wide", "formats"])
def test_what_others_have_written_is_letters(text: str) -> None:
    """On every screen: no control character, no escape sequence, nothing that hides or turns letters around."""
    text = text.encode("utf-8", "replace").decode()
    targets, found = _evil(text)
    agent = CannedAgent()
    agent.answers["capture"] = capture(target=text, worker=text, state="failed", problem=text)
    drawn: list[str] = []

    def note(pilot: Pilot[int]) -> None:
        told = seen(pilot)
        assert all(letter.isprintable() for letter in told.replace("\n", ""))
        drawn.append(told)

    async def look(pilot: Pilot[int]) -> None:
        hear(pilot, event("targets", targets), incidents(found), event("captures", [capture(target=text, id="1")]))
        pilot.app.picture.problems = (text,)
        pilot.app.picture.lose(text)
        pilot.app.on_heard()
        await pilot.pause()
        note(pilot)
        for keys in (
            ["home", "enter"],
            ["tab", "tab", "enter"],
            ["escape", "escape", "tab", "enter"],
            ["escape", "c"],
        ):
            await pilot.press(*keys)
            note(pilot)
        await pilot.press("escape", "tab", "tab", "k")
        await until(pilot, "The cpu capture of")
        note(pilot)

    play(look, (100, 30), agent)
    if text.startswith("[red]"):
        assert "[red]markup[/]" in drawn[0]


def test_a_long_name_keeps_its_slot() -> None:
    """The end of a name tells workers apart, so its middle gives way."""
    targets, view = fleet()
    name = "checkout-service-of-the-north"
    workers = tuple(replace(each, target=name) for each in targets[0].workers)
    view.all_targets = (replace(targets[0], name=name, workers=workers),)

    async def look(pilot: Pilot[int]) -> None:
        hear(pilot, event("targets", targets_as_json(view)))
        await pilot.pause()
        assert all(f"…/{slot}" in seen(pilot) for slot in range(4))

    play(look, (60, 24))
