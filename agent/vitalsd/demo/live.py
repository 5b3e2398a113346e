"""The demo at a terminal: says what to open and what to try, then a line for each thing that the agent notices."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from vitalsd.cli.client import reachable
from vitalsd.cli.figures import filled
from vitalsd.demo.cast import Player
from vitalsd.demo.notes import Notes
from vitalsd.demo.stage import Stage
from vitalsd.demo.worker import HOST
from vitalsd.errors import VitalsdError

__all__ = ["stay"]

LOOK_SECONDS = 0.5


def stay(stage: Stage, say: Callable[[str], None]) -> int:
    """Tell what is noticed, until Ctrl-C."""
    targets = {player.target for player in stage.players}
    try:
        say("\n".join(_invitation(stage)))
        notes = Notes([])
        while stage.is_up():
            workers = [worker for worker in stage.agent.workers() if worker["target"] in targets]
            for note in notes.look(workers):
                say(f"{time.strftime('%H:%M:%S')}  {note}")
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        say("\nThe demo ends, and takes its services and its agent down.")
        return 0
    raise VitalsdError("A process of the demo has ended, and nobody asked it to.")


def _invitation(stage: Stage) -> Iterator[str]:
    host, port = reachable(stage.listen)
    base = f"http://{host}:{port}"
    yield "Open"
    yield ""
    yield f"  page     {stage.link}"
    yield f"  metrics  {base}/metrics"
    for player in stage.players:
        yield f"  health   {base}/health/{player.target}"
    yield ""
    yield "and try in another terminal"
    for player in stage.players:
        yield from _faults(player)
    yield ""
    yield "What the agent tells of it, beside its page:"
    yield ""
    for name, value in _meant(stage).items():
        yield f"  export {name}={shlex.quote(value)}"
    yield "  vitalsd status; vitalsd incidents; vitalsd captures"
    yield f"  vitalsd capture cpu {stage.players[0].target}/0 --seconds 5"
    yield ""
    yield f"Its page once more: {stage.link}"
    yield "What it notices follows here, until Ctrl-C."
    yield ""


def _faults(player: Player) -> Iterator[str]:
    """What to try in a service: each fault in a sentence, and the line that switches it on."""
    first, *others = player.ports
    more = f", another on {', '.join(map(str, others))}" if others else ""
    yield ""
    yield f"{player.target} ({player.about}; the first on port {first}{more})"
    yield ""
    for name, scene in player.scenes.items():
        yield f"  curl '{_base(player)}/fault/{name}?seconds=4'"
        yield filled((scene.__doc__ or "").strip(), " " * 6)
    yield f"  curl {_base(player)}/fault/calm"
    yield filled("All of them end, and what they have left behind is given back.", " " * 6)


def _base(player: Player) -> str:
    return f"http://{HOST}:{player.ports[0]}"


def _meant(stage: Stage) -> dict[str, str]:
    """The environment in which commands ask this agent."""
    meant = {
        "VITALSD__STORAGE__DIR": stage.storage_dir,
        "VITALSD__EXPORTERS__CONTROL__LISTEN": stage.control_listen,
    }
    return meant | ({"VITALSD_CONFIG": str(Path(stage.config).resolve())} if stage.config is not None else {})
