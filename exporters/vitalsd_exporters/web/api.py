"""
The control port: the API under `/api/v1` and the page, all behind a token.

Answers are the model itself, see `edge`. Costs one look at the targets per request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from vitalsd_exporters.web.agent import agent_route
from vitalsd_exporters.web.alerts import alert_routes
from vitalsd_exporters.web.captures import capture_routes
from vitalsd_exporters.web.edge import as_json
from vitalsd_exporters.web.guard import Guard
from vitalsd_exporters.web.history import history_route
from vitalsd_exporters.web.incidents import incident_routes
from vitalsd_exporters.web.page.book import RowBook
from vitalsd_exporters.web.page.routes import page_routes
from vitalsd_exporters.web.page.stream import page_stream
from vitalsd_exporters.web.reply import json_error, json_reply
from vitalsd_exporters.web.stream import LiveStream, Streams
from vitalsd_exporters.web.targetbook import TargetBook
from vitalsd_exporters.web.targets import target_as_json

if TYPE_CHECKING:
    from starlette.requests import Request

    from vitalsd_exporters.state import View
    from vitalsd_exporters.web.auth import Token

__all__ = ["control_app"]

RETRY_SECONDS = 5
"""From when on a stream may be asked for again, where there are too many."""


def control_app(view: View, token: Token, listen_host: str) -> Starlette:
    """The whole app of the control port; `listen_host` is the host part of `exporters.control.listen`."""

    rows, book, streams = RowBook(view), TargetBook(view), Streams()

    async def targets(_request: Request) -> Response:
        return Response(await book.encoded(), media_type="application/json")

    async def target(request: Request) -> Response:
        name = request.path_params["name"]
        for candidate in view.targets():
            if candidate.name == name:
                return json_reply(target_as_json(view, candidate))
        return json_error(f"No target is called `{name}`; `GET /api/v1/targets` lists those there are.", 404)

    async def sources(_request: Request) -> Response:
        return json_reply({"sources": as_json(view.sources())})

    async def stream(request: Request) -> Response:
        wanted = request.query_params.get("view")
        if wanted not in (None, "page"):
            return json_error(f"`view` is `page`, or left out; not `{wanted}`.", 400)
        if (why := streams.refusal) is not None:
            return json_error(why, 503, {"Retry-After": str(RETRY_SECONDS)})
        return LiveStream(view, book, streams) if wanted is None else page_stream(view, rows, streams)

    async def openapi(_request: Request) -> Response:
        from vitalsd_exporters.web.openapi import document  # few ask for it

        return json_reply(document(view.agent().version))

    app = Starlette(
        routes=[
            *page_routes(token),
            Route("/api/v1/targets", targets),
            Route("/api/v1/targets/{name}", target),
            history_route(view),
            Route("/api/v1/sources", sources),
            agent_route(view),
            Route("/api/v1/stream", stream),
            Route("/api/v1/openapi.json", openapi),
            *incident_routes(view),
            *capture_routes(view),
            *alert_routes(view),
        ],
        middleware=[Middleware(Guard, token=token, listen_host=listen_host)],
        exception_handlers={404: _no_such_path, 405: _no_such_method},
    )
    app.router.redirect_slashes = False  # a path is one of those above, or it is not there
    return app


def _no_such_path(request: Request, _error: Exception) -> Response:
    return json_error(
        f"There is nothing at `{request.scope['path']}`; docs/api.md lists every path there is.", 404
    )


def _no_such_method(request: Request, _error: Exception) -> Response:
    sentence = f"`{request.scope['path']}` does not take {request.method}; docs/api.md lists every path there is."
    return json_error(sentence, 405, {"Allow": ", ".join(_methods(request))})


def _methods(request: Request) -> list[str]:
    """What a path takes: a route has one method, and a path perhaps several routes."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    here = (route for route in routes if route.path_regex.match(request.scope["path"]))
    return sorted({method for route in here for method in route.methods or ()})
