"""
Incidents and rules through the API: lists with filters, and one incident by its id.

What memory holds is told at once; earlier incidents are asked of the disk, which may be slow and never holds up
anything but the answer. Costs 0.1 ms per incident, 1 ms where it has all the evidence that it may have, 20 us in
brief; a list is made in slices, as it is taken.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, cast

import msgspec
from msgspec.structs import replace
from starlette.routing import Route

from vitalsd.incidents.query import MOST_LISTED, Page, Wanted, spot_of
from vitalsd_exporters.web.edge import as_json
from vitalsd_exporters.web.page.rows import brief
from vitalsd_exporters.web.pieces import PiecedAnswer
from vitalsd_exporters.web.reply import json_error, json_reply
from vitalsd_exporters.web.slices import Slices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from vitalsd.incidents.query import Spot
    from vitalsd.model import Incident
    from vitalsd_exporters.state import View

__all__ = ["incident_routes"]

FILTERS = ("state", "target", "kind", "limit", "view", "before")
AT_ONCE = 50
"""Incidents that are read from disk together: two megabytes, when they weigh what they may."""
MOST_BYTES = 8 << 20
"""Of one answer: a hundred of any weight, a thousand of the usual."""
SPOT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?~.{1,80}")
LIMIT = re.compile("[0-9]{1,6}")
STATES = ("open", "resolved")


def incident_routes(view: View) -> list[Route]:
    """The questions as routes."""

    async def incidents(request: Request) -> Response:
        asked = request.query_params
        wanted = _wanted(asked)
        if isinstance(wanted, str):
            return json_error(wanted, 400)
        tell = brief if "view" in asked else as_json
        first = await view.find_incidents(replace(wanted, limit=min(wanted.limit, AT_ONCE)))
        return PiecedAnswer(_listed(view, wanted, first, tell), media_type="application/json")

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


async def _listed(
    view: View, wanted: Wanted, page: Page, tell: Callable[[Incident], object]
) -> AsyncIterator[bytes]:
    """The answer: of all that are told, one page at a time is in memory."""
    slices = Slices()
    told = size = 0
    behind, problem, full = page.behind, page.problem, False
    yield b'{"incidents":['
    while not full:
        for incident in page.incidents:
            part = msgspec.json.encode(tell(incident))
            full = told > 0 and size + len(part) > MOST_BYTES
            if full:
                break
            yield b"," + part if told else part
            told, size, behind = told + 1, size + len(part), spot_of(incident)
            await slices.turn()
        if not full:
            behind = page.behind
            full = told >= wanted.limit or behind is None
        if not full:
            left = min(wanted.limit - told, AT_ONCE)
            page = await view.find_incidents(replace(wanted, limit=left, before=behind))
            problem = problem or page.problem
    more = {"next": _as_text(behind), "problem": problem}
    rest = msgspec.json.encode({name: value for name, value in more.items() if value is not None})
    yield b"]" + (b"," + rest[1:] if len(rest) > 2 else rest[1:])


def _as_text(spot: Spot | None) -> str | None:
    """What `before` takes."""
    return f"{spot[0]!r}~{spot[1]}" if spot is not None else None


def _spot(text: str) -> Spot | None:
    """What it means; None where it means nothing."""
    at, _, name = text.partition("~")
    return (float(at), name) if SPOT.fullmatch(text) else None


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
    if asked.get("view", "brief") != "brief":
        return f"`view` is `brief`, or left out; not `{asked['view']}`."
    before = asked.get("before")
    spot = _spot(before) if before is not None else None
    if before is not None and spot is None:
        return f"`before` is the `next` of an answer, not `{before}`."
    known = cast("Literal['open', 'resolved'] | None", state)
    return Wanted(state=known, target=asked.get("target"), kind=asked.get("kind"), limit=int(limit), before=spot)
