"""
The control port: the API under `/api/v1` and a landing page, all behind a token.

Answers are the model itself, see `edge`. Costs one look at the targets per request.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from vitalsd_exporters.web.edge import as_json
from vitalsd_exporters.web.guard import Guard
from vitalsd_exporters.web.reply import html_page, json_error, json_reply
from vitalsd_exporters.web.stream import TargetStream

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from vitalsd.model import TargetSnapshot, WorkerSample
    from vitalsd_exporters.state import View
    from vitalsd_exporters.web.auth import Token

__all__ = ["control_app"]


def control_app(view: View, token: Token, listen_host: str) -> Starlette:
    """The whole app of the control port; `listen_host` is the host part of `exporters.control.listen`."""

    async def targets(_request: Request) -> Response:
        return json_reply({"targets": as_json(view.targets())})

    async def target(request: Request) -> Response:
        name = request.path_params["name"]
        for candidate in view.targets():
            if candidate.name == name:
                return json_reply(as_json(candidate))
        return json_error(f"No target is called `{name}`; `GET /api/v1/targets` lists those there are.", 404)

    async def sources(_request: Request) -> Response:
        return json_reply({"sources": as_json(view.sources())})

    async def stream(_request: Request) -> Response:
        return TargetStream(view)

    async def landing(request: Request) -> Response:
        response = html_page("vitalsd", _target_table(view.targets()))
        if "token" in request.query_params:
            token.remember(request, response)
        return response

    return Starlette(
        routes=[
            Route("/", landing),
            Route("/api/v1/targets", targets),
            Route("/api/v1/targets/{name}", target),
            Route("/api/v1/sources", sources),
            Route("/api/v1/stream", stream),
        ],
        middleware=[Middleware(Guard, token=token, listen_host=listen_host)],
    )


def _target_table(targets: tuple[TargetSnapshot, ...]) -> str:
    if not targets:
        return "<p>No target is configured or found yet.</p>"
    rows = [
        f"<tr><td>{escape(worker.target)}</td><td>{escape(worker.slot)}</td>"
        f"<td>{worker.key.pid if worker.key else ''}</td><td>{_state(worker)}</td></tr>"
        for target in targets
        for worker in target.workers
    ]
    rows += [
        f"<tr><td>{escape(target.name)}</td><td></td><td></td><td>no worker</td></tr>"
        for target in targets
        if not target.workers
    ]
    head = "<tr><th>target</th><th>worker</th><th>pid</th><th>state</th></tr>"
    return "<table>\n" + "\n".join([head, *rows]) + "\n</table>"


def _state(worker: WorkerSample) -> str:
    if not worker.up:
        return "down"
    loops = worker.probe.loops if worker.probe else ()
    stuck = [loop.current_stall.seconds for loop in loops if loop.current_stall is not None]
    return f"stuck for {max(stuck):.2f} s" if stuck else "up"
