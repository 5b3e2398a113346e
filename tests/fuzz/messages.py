"""
What is sent to the agent and answered to it: the webhook of Alertmanager, requests for captures, and what those
answer who are pushed to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json

import h11
import httpx
from support.captures import FakeCaptures
from support.views import FixedView

from fuzz.frame import Target, assert_sane
from vitalsd_exporters.push.post import MOST_BYTES, _answer
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token

BEARER = {"Authorization": "Bearer s3cret", "Content-Type": "application/json", "Host": "127.0.0.1"}
PATHS = ("/api/v1/alertmanager", "/api/v1/captures")


def check_bodies(content: bytes) -> None:
    """Any body, with a token: an answer that is JSON, never a 5xx, and what is told of it on one line."""
    for answer in asyncio.run(_posted(content)):
        assert answer.status_code < 500, answer.text
        told = json.loads(answer.text)
        if "error" in told:
            assert_sane(told["error"])
            assert len(told["error"]) < 1000
        for refused in told.get("refused", []):
            assert_sane(refused)


async def _posted(content: bytes) -> list[httpx.Response]:
    app = control_app(FixedView(captures=FakeCaptures()), Token("s3cret"), "127.0.0.1")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        return [await client.post(path, content=content, headers=BEARER) for path in PATHS]


def check_answer(content: bytes) -> None:
    """What an Alertmanager, or whatever listens in its place, answers."""

    async def read() -> None:
        reader = asyncio.StreamReader(limit=4096)
        reader.feed_data(content)
        reader.feed_eof()
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method="POST", target="/", headers=[("Host", "a"), ("Content-Length", "0")]))
        connection.send(h11.EndOfMessage())
        answer = await _answer(connection, reader)
        assert len(answer.body) <= MOST_BYTES
        assert_sane(answer.text)

    with contextlib.suppress(OSError, h11.ProtocolError):
        asyncio.run(read())


TARGETS = (
    Target(
        "bodies",
        "bodies of the webhook and of requests",
        check_bodies,
        words=(b'"status":"firing"', b'"vitalsd_capture":"cpu"', b'"target":"shop"', b'"alerts":[', b'"labels":{'),
        examples=360,
    ),
    Target(
        "replies",
        "answers of an Alertmanager",
        check_answer,
        words=(
            b"HTTP/1.1 200 OK\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"\r\n\r\n",
            b"Content-Length: ",
            b"100",
        ),
    ),
)
