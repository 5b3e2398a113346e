"""
The scripted tour: switches each fault on in one worker, waits until the agent shows it, and prints the numbers.

Nothing is taken on trust: a fault whose effect is not seen within its deadline is told as such, and counts.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable

from vitalsd.demo.cast import Player
from vitalsd.demo.scene import NotSeenError, Scene
from vitalsd.demo.stage import Stage
from vitalsd.errors import VitalsdError

__all__ = ["play"]

WIDTH = 100
NAME_WIDTH = 15
NEXT = """\
vitalsd demo --no-tour          the same services to play with: faults by curl, the page
vitalsd run -- uvicorn app:app  your own service, unchanged: the probe inside, the agent beside it
README.md, docs/metrics.md      what it costs and needs, and every metric with its meaning"""


def play(stage: Stage, say: Callable[[str], None]) -> int:
    """Play every scene once; the exit code is 1 when something was not seen."""
    began = time.monotonic()
    say("Each fault is switched on in worker 0 of its service; behind it stands what /metrics, /health and")
    say("the API then told. As long as this lasts, the agent's page is")
    say(f"  {stage.link}")
    played = unseen = 0
    for player in stage.players:
        say(f"\n{player.target} ({player.about})\n")
        for name, scene in player.scenes.items():
            seen, was_seen = _played(stage, player, scene)
            say(told(name, seen))
            played, unseen = played + 1, unseen + (not was_seen)
    verdict = f"{unseen} of {played} faults were not seen" if unseen else f"All {played} faults were seen"
    say(f"\n{verdict}, in {time.monotonic() - began:.0f} s. Where to go next:")
    say(NEXT)
    return 1 if unseen else 0


def _played(stage: Stage, player: Player, scene: Callable[[Scene], str]) -> tuple[str, bool]:
    """What was seen of one fault, or why nothing was; and whether it was."""
    try:
        return _play_one(stage, player, scene), True
    except NotSeenError as missing:
        return f"NOT SEEN: {missing}", False
    except (OSError, VitalsdError) as error:
        return f"NOT SEEN: somebody did not answer: {error}", False


def _play_one(stage: Stage, player: Player, scene: Callable[[Scene], str]) -> str:
    port = player.ports[0]
    props = Scene(stage.agent, player.target, port, stage.slot(player.target, port))
    try:
        return scene(props)
    finally:
        props.calm()


def told(name: str, seen: str) -> str:
    """One fault and what was seen of it, in lines of a terminal."""
    return textwrap.fill(
        seen,
        WIDTH,
        initial_indent=name.ljust(NAME_WIDTH),
        subsequent_indent=" " * NAME_WIDTH,
        break_long_words=False,
    )
