"""
The scripted tour: switches each fault on in one worker, waits until the agent shows it, and prints the numbers.

Nothing is taken on trust: a fault whose effect is not seen within its deadline is told as such, and counts.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable

from vitalsd.demo.observe import TARGET
from vitalsd.demo.scene import NotSeenError, Scene
from vitalsd.demo.scenes import SCENES
from vitalsd.demo.stage import Stage
from vitalsd.errors import VitalsdError

__all__ = ["play"]

WIDTH = 100
NAME_WIDTH = 13
NEXT = """\
vitalsd demo --no-tour          the same service to play with: faults by curl, the page in a browser
vitalsd run -- uvicorn app:app  your own service, unchanged: the probe inside, the agent beside it
README.md, docs/metrics.md      what it costs and needs, and every metric with its meaning"""


def play(stage: Stage, say: Callable[[str], None]) -> int:
    """Play every scene once; the exit code is 1 when something was not seen."""
    began = time.monotonic()
    say(f"A small service ({TARGET}, two workers) runs under `vitalsd run`, with the agent beside it. Each")
    say("fault is switched on in worker 0; behind it stands what /metrics, /health and the API then told.")
    say("")
    unseen = 0
    for name, scene in SCENES.items():
        try:
            seen = _play_one(stage, scene)
        except NotSeenError as missing:
            seen = f"NOT SEEN: {missing}"
            unseen += 1
        except (OSError, VitalsdError) as error:
            seen = f"NOT SEEN: somebody did not answer: {error}"
            unseen += 1
        say(told(name, seen))
    say("")
    verdict = (
        f"{unseen} of {len(SCENES)} faults were not seen" if unseen else f"All {len(SCENES)} faults were seen"
    )
    say(f"{verdict}, in {time.monotonic() - began:.0f} s. Where to go next:")
    say(NEXT)
    return 1 if unseen else 0


def _play_one(stage: Stage, scene: Callable[[Scene], str]) -> str:
    props = Scene(stage.agent, stage.ports[0], stage.slot(stage.ports[0]))
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
