"""
Incidents and rules through the API: lists with filters, and one incident by its id.

What memory holds is told at once; earlier incidents are asked of the disk, which may be slow and never holds up
anything but the answer. Costs about 0.1 ms per incident.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, cast

from starlette.routing import Route

from vitalsd.incidents.query import MOST_LISTED, Wanted
from vitalsd_exporters.web.edge import as_json
from vitalsd_exporters.web.reply import json_error, json_reply

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from vitalsd_exporters.state import View

__all__ = ["incident_routes"]

FILTERS = ("state", "target", "kind", "limit")
LIMIT = re.compile("[0-9]{1,6}")
STATES = ("open", "resolved")


def incident_routes(view: View) -> list[Route]:
    """The questions as routes."""

    async def incidents(request: Request) -> Response:
        wanted = _wanted(request.query_params)
        if isinstance(wanted, str):
            return json_error(wanted, 400)
        page = await view.find_incidents(wanted)
        answer = {"incidents": as_json(page.incidents)}
        return json_reply(answer if page.problem is None else answer | {"problem": page.problem})

    async def incident(request: Request) -> Response:
        name = request.path_params["id"]
        page = await view.find_incidents(Wanted(id=name, limit=1))
        if page.incidents:
            return json_reply(as_json(page.incidents[0]))
        why = f" {page.problem}" if page.problem is not None else ""
        return json_error(f"No incident is called `{name}`; `vitalsd incidents` lists those there are.{why}", 404)

    async def rules(request: Request) -> Response:
        target = request.query_params.get("target")
        told = tuple(rule for rule in view.rules() if target in (None, rule.target))
        return json_reply({"rules": as_json(told)})

    return [
        Route("/api/v1/incidents", incidents),
        Route("/api/v1/incidents/{id}", incident),
        Route("/api/v1/rules", rules),
    ]


def _wanted(asked: QueryParams) -> Wanted | str:
    """The filters of a list, or the sentence that says what is wrong with them."""
    unknown = sorted(set(asked) - set(FILTERS))
    if unknown:
        return f"There is no filter `{unknown[0]}`; there are {', '.join(f'`{name}`' for name in FILTERS)}."
    state = asked.get("state")
    if state is not None and state not in STATES:
        return f"`state` is `open` or `resolved`, not `{state}`."
    limit = asked.get("limit", str(Wanted().limit))
    if not LIMIT.fullmatch(limit) or not 1 <= int(limit) <= MOST_LISTED:
        return f"`limit` is a number from 1 to {MOST_LISTED}, not `{limit}`."
    known = cast("Literal['open', 'resolved'] | None", state)
    return Wanted(state=known, target=asked.get("target"), kind=asked.get("kind"), limit=int(limit))
