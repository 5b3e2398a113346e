"""
The memory of one worker over the hours before, for a chart: some 400 spans at the most.

What lies on disk is asked of its thread, which may be slow and never holds up anything but the answer. Costs the
loop 1 ms.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import msgspec
from starlette.routing import Route

from vitalsd.history.memory import MemorySpan
from vitalsd_exporters.web.edge import as_json
from vitalsd_exporters.web.reply import json_error, json_reply

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from vitalsd_exporters.state import View

__all__ = ["MOST_HOURS", "USUAL_HOURS", "MemoryHistory", "history_route"]

FILTERS = ("worker", "hours")
HOURS = re.compile("[0-9]{1,3}")
USUAL_HOURS = 24
MOST_HOURS = 192
"""Eight days are kept."""
HOUR_SECONDS = 3600


class MemoryHistory(msgspec.Struct, frozen=True):
    """What the memory of one worker was."""

    target: str
    worker: str
    points: tuple[MemorySpan, ...]
    """Oldest first."""
    problem: str | None
    """Why there may be more than is told."""


def history_route(view: View) -> Route:
    """`GET /api/v1/targets/{name}/history`."""

    async def history(request: Request) -> Response:
        name, asked = request.path_params["name"], request.query_params
        wanted = _wanted(asked)
        if isinstance(wanted, str):
            return json_error(wanted, 400)
        worker, hours = wanted
        past = await view.memory_past(name, worker, time.time() - hours * HOUR_SECONDS)
        here = any(
            target.name == name and any(each.slot == worker for each in target.workers)
            for target in view.sampled()
        )
        if not here and not past.spans:
            return json_error(f"Nothing is known of a worker `{worker}` of `{name}`.", 404)
        return json_reply(as_json(MemoryHistory(name, worker, past.spans, past.problem)))

    return Route("/api/v1/targets/{name}/history", history)


def _wanted(asked: QueryParams) -> tuple[str, int] | str:
    """Worker and hours, or the sentence that says what is wrong with them."""
    unknown = sorted(set(asked) - set(FILTERS))
    if unknown:
        return f"There is no parameter `{unknown[0]}`; there are {', '.join(f'`{name}`' for name in FILTERS)}."
    worker = asked.get("worker", "")
    if not worker:
        return "Say whose: `worker` is its slot, as `GET /api/v1/targets` has it."
    hours = asked.get("hours", str(USUAL_HOURS))
    if not HOURS.fullmatch(hours) or not 1 <= int(hours) <= MOST_HOURS:
        return f"`hours` is a number from 1 to {MOST_HOURS}, not `{hours}`."
    return worker, int(hours)
