"""
Serves the page: `/`, with a key for the browser that has shown the token, and its files below `/page/`.

The files hold no secret, and ask for the token like all else here: a browser has its cookie for them. They are
kept by the browser and asked after each time, so a new agent is never shown by the files of an old one.
"""

from __future__ import annotations

import asyncio
from html import escape
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from vitalsd_exporters.web.page.assets import read_asset
from vitalsd_exporters.web.reply import json_error

if TYPE_CHECKING:
    from starlette.requests import Request

    from vitalsd_exporters.web.auth import Token

__all__ = ["PAGE_POLICY", "page_routes"]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Files and answers of this very origin, and nothing else: no inline script, no style, nobody else's image."""
NO_KEY = '<meta name="vitalsd-key" content="">'
"""The place of the key, as index.html has it."""


def page_routes(token: Token) -> list[Route]:
    """The page and its files."""

    async def index(request: Request) -> Response:
        asset = await asyncio.to_thread(read_asset, "index.html")
        assert asset is not None
        # The cookie may have let it in, so what the address has is compared again.
        shown = token.is_borne_by(request) or token.matches(request.query_params.get("token", ""))
        html = asset.content.decode()
        if shown:
            html = html.replace(NO_KEY, NO_KEY.replace('""', f'"{escape(token.key)}"'))
        response = Response(html, headers={"Content-Security-Policy": PAGE_POLICY}, media_type=asset.media_type)
        if shown:
            token.remember(request, response)
        return response

    async def file(request: Request) -> Response:
        name = "/".join(request.path_params.values())
        asset = await asyncio.to_thread(read_asset, name)
        if asset is None or name == "index.html":
            return json_error(f"The page has no file `{name}`.", 404)
        headers = {"ETag": asset.etag, "Cache-Control": "private, no-cache"}
        if _has(request, asset.etag):
            return Response(status_code=304, headers=headers)
        return Response(asset.content, headers=headers, media_type=asset.media_type)

    return [Route("/", index), Route("/page/{name}", file), Route("/page/{folder}/{name}", file)]


def _has(request: Request, etag: str) -> bool:
    """Whether the browser has this very file already."""
    known = request.headers.get("if-none-match", "").split(",")
    return etag in (each.strip().removeprefix("W/") for each in known)
