"""
The metrics port: `/metrics`, the agent's own health and reload, and the health of targets.

Open like any exporter: it tells numbers and names, takes no arguments but names, and changes nothing except by
`/-/reload`, which reads the configuration again and can be switched off (`enable_lifecycle`). Anybody may ask for
that: so it is done once in RELOAD_SECONDS, no page of another site may have a browser ask for it, and what is
wrong with the configuration is told in the log alone. A scrape runs inside the daemon's loop and costs some 1 us
per series, and as much again for the segments read again and its compression.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from html import escape
from math import ceil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from vitalsd.errors import VitalsdError
from vitalsd_exporters.prometheus.accepted import OPENMETRICS, content_type
from vitalsd_exporters.prometheus.collector import VitalsCollector
from vitalsd_exporters.prometheus.exemplars import with_exemplars
from vitalsd_exporters.prometheus.family import only
from vitalsd_exporters.prometheus.text import render
from vitalsd_exporters.web.health import health_routes
from vitalsd_exporters.web.reply import html_page

if TYPE_CHECKING:
    from starlette.requests import Request

    from vitalsd_exporters.state import View

__all__ = ["metrics_app"]

RELOAD_SECONDS = 5.0
GZIP_LEVEL = 5
"""One more takes twice the time, and saves a fifteenth."""


def metrics_app(view: View, *, lifecycle: bool, clock: Callable[[], float] = time.monotonic) -> Starlette:
    """The whole app of the metrics port; `lifecycle` allows `/-/reload`."""
    collector = VitalsCollector(view)
    reloaded_at = -RELOAD_SECONDS
    turn = asyncio.Lock()

    async def metrics(request: Request) -> Response:
        async with turn:  # many at once would hold the loop for all of them in one piece
            await asyncio.sleep(0)
            return _exposition(view, collector, request)

    async def landing(_request: Request) -> Response:
        links = "".join(
            f'<li><a href="{escape(path)}">{escape(path)}</a></li>\n'
            for path in ("/metrics", "/-/healthy", "/-/ready", *_health_paths(view))
        )
        version = escape(view.agent().version)
        return html_page("vitalsd", f"<p>Runtime health of services, version {version}.</p>\n<ul>\n{links}</ul>")

    async def healthy(_request: Request) -> Response:
        return PlainTextResponse("vitalsd is healthy.\n")

    async def ready(_request: Request) -> Response:
        if view.ready():
            return PlainTextResponse("vitalsd is ready.\n")
        return PlainTextResponse("vitalsd is not ready: its first round of sampling is not done.\n", 503)

    async def reload(request: Request) -> Response:
        nonlocal reloaded_at
        if not lifecycle:
            return PlainTextResponse(
                "Reloading over HTTP is off: send SIGHUP, or set `exporters.prometheus.enable_lifecycle`.\n",
                403,
            )
        if _from_another_site(request):
            return PlainTextResponse("A page of another site may not ask for that.\n", 403)
        wait = reloaded_at + RELOAD_SECONDS - clock()
        if wait > 0:
            sentence = (
                f"The configuration was read in the last {RELOAD_SECONDS:g} s: try again in {ceil(wait)} s.\n"
            )
            return PlainTextResponse(sentence, 429, {"Retry-After": str(ceil(wait))})
        reloaded_at = clock()
        try:
            await view.reload()
        except VitalsdError:
            sentence = (
                "The configuration was not reloaded, the one before still holds: see the log for the reason.\n"
            )
            return PlainTextResponse(sentence, 500)
        return PlainTextResponse("The configuration was reloaded.\n")

    return Starlette(
        routes=[
            Route("/", landing),
            Route("/metrics", metrics),
            Route("/-/healthy", healthy),
            Route("/healthz", healthy),
            Route("/-/ready", ready),
            Route("/readyz", ready),
            Route("/-/reload", reload, methods=["POST", "PUT"]),
            *health_routes(view),
        ]
    )


def _from_another_site(request: Request) -> bool:
    """Whether a browser asks for a page that is not ours; other clients send neither header."""
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    return foreign or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def _exposition(view: View, collector: VitalsCollector, request: Request) -> Response:
    form = content_type(request.headers.get("accept", ""))
    names = request.query_params.getlist("name[]")
    families = collector.families()
    openmetrics = form == OPENMETRICS
    if openmetrics:
        families = with_exemplars(families, view.latest_stalls())
    if names:
        families = only(families, names)
    body = render(families, openmetrics=openmetrics)
    headers = {"Content-Type": form, "Vary": "Accept, Accept-Encoding"}
    if _takes_gzip(request.headers.get("accept-encoding", "")):
        import gzip

        body = gzip.compress(body, GZIP_LEVEL)
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers)


def _takes_gzip(accepted: str) -> bool:
    codings = [coding.replace(" ", "").lower() for coding in accepted.split(",")]
    return any(coding.split(";")[0] == "gzip" and not coding.endswith(";q=0") for coding in codings)


def _health_paths(view: View) -> list[str]:
    from urllib.parse import quote

    return ["/health", *(f"/health/{quote(target.name, safe='')}" for target in view.targets())]
