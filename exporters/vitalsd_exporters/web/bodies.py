"""
What clients send: a body that is read up to a bound, in bounded time, and is then what a struct says, or refused.

A refusal is a sentence that names the field. Costs nothing but the body, which is never more than MOST_BYTES
unless a route says so.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, TypeVar

import msgspec
from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

__all__ = ["MOST_BYTES", "RefusedError", "on_one_line", "read_json"]

T = TypeVar("T")

MOST_BYTES = 64 * 1024
"""What asks for a capture has a hundred."""
PATIENCE_SECONDS = 10.0
"""What a body may take to arrive; a webhook's, of a megabyte, too."""
JSON = "application/json"
PLACE = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<where>.*)`)?", re.DOTALL)
LONGEST_TEXT = 300


class RefusedError(Exception):
    """What is asked for is not done: the sentence and the status that the answer has."""

    def __init__(self, sentence: str, status: int, outcome: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status
        self.outcome = outcome
        """In a word, for the log."""
        self.headers = headers


async def read_json(request: Request, kind: type[T], most_bytes: int = MOST_BYTES) -> T:
    """The body as a `kind`; RefusedError for what is none."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise RefusedError(f"Send the body as JSON, with `Content-Type: {JSON}`.", 415, "malformed")
    body = await _read(request, most_bytes)
    if not body.strip():
        raise RefusedError("The body is empty: send a JSON object.", 400, "malformed")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise RefusedError(_sentence(str(error)), 400, "malformed") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(f"The body is no JSON: {_bounded(str(error))}.", 400, "malformed") from None


def on_one_line(text: str, longest: int) -> str:
    """A text of somebody else's as one that log and terminal can show: no control character, no line break."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text[:longest]).split())


async def _read(request: Request, most_bytes: int) -> bytes:
    # What is left unread of a body makes the connection useless for another request.
    too_large = RefusedError(
        f"The body is too large: at most {most_bytes} bytes are read.", 400, "malformed", {"Connection": "close"}
    )
    declared = request.headers.get("content-length", "0")
    if len(declared) > 15 or (declared.isdecimal() and int(declared) > most_bytes):
        raise too_large
    chunks, size = [], 0
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most_bytes:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError:
        sentence = f"The body has not arrived within {PATIENCE_SECONDS:g} s."
        raise RefusedError(sentence, 408, "malformed", {"Connection": "close"}) from None
    except ClientDisconnect:
        raise RefusedError("The client left before its request was complete.", 400, "malformed") from None
    return b"".join(chunks)


def _sentence(error: str) -> str:
    """`Expected ...` with the field first."""
    found = PLACE.fullmatch(error)
    assert found is not None  # it matches everything
    what = _bounded(found["what"])
    if not found["where"]:
        return f"The body is not what this path takes: {what[:1].lower()}{what[1:]}."
    return f"`{_bounded(found['where'])}` in the body is wrong: {what[:1].lower()}{what[1:]}."


def _bounded(text: str) -> str:
    """An error may quote what was sent."""
    told = on_one_line(text, LONGEST_TEXT + 1)
    return told if len(told) <= LONGEST_TEXT else told[: LONGEST_TEXT - 1] + "…"
