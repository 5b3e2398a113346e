"""
What can be told without an agent: that the service of `vitalsd run` has ended, and what its agent has found and
captured.

Read from the folder in which agents keep what outlives them. Where nothing lies there, the error stands: nobody
answers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from vitalsd.capture.left import captures_file, captures_left
from vitalsd.capture.model import Capture
from vitalsd.cli.client import NoAgentError
from vitalsd.cli.figures import plain
from vitalsd.cli.moments import lasting, when
from vitalsd.errors import UsageError, VitalsdError
from vitalsd.incidents.left import incidents_file, incidents_left
from vitalsd.incidents.query import Wanted
from vitalsd.leaving import Left, left_at, listen_left
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import ended_path, storage_dir
from vitalsd.times import rfc3339
from vitalsd_exporters.web.edge import as_json

__all__ = [
    "capture_left",
    "captures_listed",
    "ended",
    "ended_as_json",
    "ended_text",
    "incident_left",
    "incidents_listed",
]


def ended(settings: Settings, error: NoAgentError) -> Left:
    """The service that has ended with its agent; else the error that there is none."""
    try:
        left = left_at(ended_path(settings))
    except UsageError:
        left = None
    if left is None:
        raise error
    return left


def ended_text(left: Left, now: float) -> str:
    """When and how, in a sentence, and where to go on."""
    how = f"by {left.signal}" if left.signal is not None else "in a way that nobody knows"
    how = f"with exit code {left.code}" if left.code is not None else how
    lived = f" after {lasting(left.lived_seconds)}" if left.lived_seconds is not None else ""
    said = f"{plain(left.target)} has ended {how} ({left.reason}){lived}: pid {left.pid}"
    count = left.incidents_open
    found = f"{count} incident{' was' if count == 1 else 's were'} open then" if count else "none was open then"
    return (
        f"{said}, {when(rfc3339(left.ended_at), now)}: {plain(left.evidence)}.\n"
        f"note: its agent has ended with it; `vitalsd incidents` lists what that has found, {found}"
    )


def ended_as_json(left: Left) -> dict[str, Any]:
    """The same for programs: no target is there any more."""
    return {"targets": [], "incidents": [], "ended": as_json(left)}


def incidents_listed(
    settings: Settings, wanted: Wanted, error: NoAgentError, listen: str | None
) -> dict[str, Any]:
    """
    What `/api/v1/incidents` would answer, and in `problem` that it is from a file.

    `listen` is where that agent has served metrics, where whoever asks says so.
    """
    path = incidents_file(*_kept(settings, listen))
    if not path.exists():
        raise error
    return {"incidents": as_json(incidents_left(path, wanted)), "problem": _from(path, settings)}


def incident_left(settings: Settings, name: str, error: NoAgentError, listen: str | None) -> dict[str, Any]:
    """The same of one."""
    answer = incidents_listed(settings, Wanted(id=name, limit=1), error, listen)
    if not answer["incidents"]:
        raise VitalsdError(f"No incident is called `{name}`. {answer['problem']}")
    return dict(answer["incidents"][0]) | {"problem": answer["problem"]}


def captures_listed(
    settings: Settings, wanted: Mapping[str, str], limit: int, error: NoAgentError, listen: str | None
) -> dict[str, Any]:
    """What `/api/v1/captures` would answer to these filters, and in `problem` that it is from a file."""
    path = captures_file(*_kept(settings, listen))
    if not path.exists():
        raise error
    fitting = [
        each
        for each in captures_left(path, time.time())
        if all(getattr(each, name) == value for name, value in wanted.items())
    ]
    return {"captures": [_capture_as_json(each) for each in fitting[:limit]], "problem": _from(path, settings)}


def capture_left(settings: Settings, name: str, error: NoAgentError, listen: str | None) -> dict[str, Any]:
    """The same of one, and the latter in `note`: a capture has a `problem` of its own."""
    answer = captures_listed(settings, {"id": name}, 1, error, listen)
    if not answer["captures"]:
        raise VitalsdError(f"No capture is called `{name}`. {answer['problem']}")
    return dict(answer["captures"][0]) | {"note": answer["problem"]}


def _kept(settings: Settings, listen: str | None) -> tuple[Path, str]:
    """The folder, and what its files are called after: meant is the agent that had this port of the API last."""
    meant = listen or listen_left(settings) or settings.exporters.prometheus.listen
    return storage_dir(settings.storage), meant


def _capture_as_json(capture: Capture) -> dict[str, Any]:
    """As the API tells one that is over."""
    return cast("dict[str, Any]", as_json(capture)) | {"progress": None, "waits_for": None}


def _from(path: Path, settings: Settings) -> str:
    asked = settings.exporters.control.listen
    return f"No agent answers on {asked}: this is what the last one there has left in {path}, as it was then."
