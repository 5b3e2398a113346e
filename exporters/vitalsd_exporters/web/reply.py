"""Answers that more than one room gives: JSON by msgspec and a tiny HTML page. Costs nothing until used."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import HTMLResponse, Response

from vitalsd_exporters.web.bodies import on_one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["as_sentence", "html_page", "json_error", "json_reply"]

LONGEST_SENTENCE = 2000
"""It may quote what was asked for."""
STRICT_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""These pages are text and links: no script, no style, no image, nothing from elsewhere."""


def as_sentence(text: str) -> str:
    """What another room says, as errors here read: from a capital letter to a full stop."""
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?")) else ".")


def json_reply(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def json_error(sentence: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A sentence for a person, in the shape that all errors of the API have."""
    return json_reply({"error": on_one_line(sentence, LONGEST_SENTENCE)}, status, headers)


def html_page(title: str, body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A page around `body`, which is HTML that is escaped already."""
    text = (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>\n'
        f"<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )
    return HTMLResponse(text, status, {"Content-Security-Policy": STRICT_POLICY, **(headers or {})})
