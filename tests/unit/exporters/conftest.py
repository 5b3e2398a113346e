"""Requests to an app without a network between; starlette's own client would ask for another HTTP library."""

import asyncio

import httpx
import pytest


@pytest.fixture
def ask():
    """Call `ask(app, "GET", "/path", headers=...)` and get the response."""

    def request(app, method, path, **options):
        async def exchange():
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:18781") as client:
                return await client.request(method, path, **options)

        return asyncio.run(exchange())

    return request
