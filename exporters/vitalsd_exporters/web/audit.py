"""
Who asked for what: one line in the log for each request that changes something here, or takes a file away.

An event of EVENTS with who (`client`, `agent`, `route`), what (`capture`, `kind`, `target`, ...) and `outcome`.
What was refused is told as well, except what had no token, which is nobody: anybody could fill the log with that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from vitalsd_exporters.web.bodies import RefusedError, on_one_line
from vitalsd_exporters.web.reply import json_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["EVENTS", "Done", "address", "audited", "record"]

log = structlog.get_logger(__name__)

EVENTS = (
    "capture_asked",
    "capture_stopped",
    "capture_cancelled",
    "capture_deleted",
    "capture_pinned",
    "capture_downloaded",
    "alerts_received",
)
LONGEST_AGENT = 120


class Done(msgspec.Struct, frozen=True):
    """What came of a request: its answer, and what the log says of it."""

    response: Any
    outcome: str
    event: str | None = None
    """Where it is not that of the route."""
    facts: dict[str, Any] = {}


def audited(event: str, change: Callable[[Request], Awaitable[Done]]) -> Callable[[Request], Awaitable[Response]]:
    """The handler of a route that changes something: it answers, and writes down who asked for what."""

    async def handler(request: Request) -> Response:
        named = {"capture": request.path_params["id"]} if "id" in request.path_params else {}
        try:
            done = await change(request)
        except RefusedError as error:
            record(request, event, error.outcome, **named, reason=error.sentence)
            return json_error(error.sentence, error.status, error.headers)
        record(request, done.event or event, done.outcome, **(named | done.facts))
        response: Response = done.response
        return response

    return handler


def record(request: Request, event: str, outcome: str, **facts: object) -> None:
    """Write one line; whatever a client chose itself is bounded and on one line."""
    told = {name: on_one_line(fact, 500) if isinstance(fact, str) else fact for name, fact in facts.items()}
    agent = on_one_line(request.headers.get("user-agent", ""), LONGEST_AGENT)
    # The path as it is, but never the query.
    route = on_one_line(f"{request.method} {request.scope['path']}", 200)
    log.info(event, client=address(request), agent=agent, route=route, outcome=outcome, **told)


def address(request: Request) -> str:
    """Whose request it is, as far as an address tells."""
    return request.client.host if request.client is not None else "unknown"
