"""The demo at a terminal: says what to open and what to try, then a line for each thing that the agent notices."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable

from vitalsd.cli.client import reachable
from vitalsd.demo.faults import FAULTS
from vitalsd.demo.notes import Notes
from vitalsd.demo.observe import TARGET
from vitalsd.demo.stage import Stage
from vitalsd.demo.worker import HOST
from vitalsd.errors import VitalsdError

__all__ = ["stay"]

LOOK_SECONDS = 0.5


def stay(stage: Stage, say: Callable[[str], None]) -> int:
    """Tell what is noticed, until Ctrl-C."""
    say(_invitation(stage))
    try:
        notes = Notes(stage.agent.workers())
        while stage.is_up():
            for note in notes.look(stage.agent.workers()):
                say(f"{time.strftime('%H:%M:%S')}  {note}")
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        return 0
    raise VitalsdError("The demo service has ended, and nobody asked it to.")


def _invitation(stage: Stage) -> str:
    host, port = reachable(stage.listen)
    base = f"http://{host}:{port}"
    first = f"http://{HOST}:{stage.ports[0]}"
    storage = shlex.quote(stage.storage_dir)
    lines = [
        f"A small service ({TARGET}, two workers) runs under `vitalsd run`, the agent beside it. Open",
        "",
        f"  metrics  {base}/metrics",
        f"  health   {base}/health/{TARGET}",
        f"  page     {stage.link}",
        "",
        f"and try in another terminal (the second worker is on port {stage.ports[-1]})",
        "",
        *(f"  curl '{first}/fault/{name}?seconds=4'" for name in FAULTS),
        f"  curl {first}/fault/calm",
        f"  VITALSD__STORAGE__DIR={storage} vitalsd status --control-listen {stage.control_listen}",
        "",
        "What the agent notices follows here, until Ctrl-C.",
        "",
    ]
    return "\n".join(lines)
