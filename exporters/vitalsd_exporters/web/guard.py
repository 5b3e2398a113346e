"""
The gate before the control app: who may enter, under which name, and with which headers an answer leaves.

A request must name this listener in its Host header (else a page elsewhere could reach it by DNS rebinding) and
carry the token; what changes something must carry it in the header. Plain ASGI, so a stream passes without being
buffered; costs microseconds.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection

from vitalsd_exporters.web.reply import STRICT_POLICY, html_page, json_error

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from vitalsd_exporters.web.auth import Token

__all__ = ["Guard", "host_is_ours"]

LANDING = "/"
LOOKING = ("GET", "HEAD")
ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - recognised here, never bound
SECURITY_HEADERS = {
    "Content-Security-Policy": STRICT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Middleware that lets a request through to `app` or answers it itself."""

    def __init__(self, app: ASGIApp, token: Token, listen_host: str) -> None:
        self.app = app
        self._token = token
        self._listen_host = listen_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._refusal(HTTPConnection(scope)) or self.app
        await answer(scope, receive, send_guarded)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        if not host_is_ours(request.headers.get("host", ""), self._listen_host):
            return json_error("This is not the host vitalsd listens on; use the address it printed.", 403)
        looks = request.scope["method"] in LOOKING
        if self._token.admits(request) if looks else self._token.is_borne_by(request):
            return None
        challenge = {"WWW-Authenticate": 'Bearer realm="vitalsd"'}
        # Not `request.url`, which is made from the Host header and says whatever that makes it say.
        if request.scope["path"] != LANDING:
            why = "" if looks else " A cookie may look, and changes nothing."
            return json_error(f"Send the token: `Authorization: Bearer TOKEN`.{why}", 401, challenge)
        if self._token.matches(request.query_params.get("token", "")):
            return None
        body = "<p>Open the link that vitalsd printed when it started: it carries the token.</p>"
        return html_page("vitalsd", body, 401, challenge)


def host_is_ours(header: str, listen_host: str) -> bool:
    """Whether a Host header means this machine's loopback or the address that is listened on."""
    try:
        parts = urlsplit(f"//{header}")
    except ValueError:
        return False
    host = parts.hostname
    if not host or parts.netloc != header or "@" in header:
        return False
    if host in ("localhost", listen_host.lower()):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    # Whoever listens everywhere is reached by any address of the machine; rebinding needs a name.
    return address.is_loopback or listen_host in ANYWHERE
