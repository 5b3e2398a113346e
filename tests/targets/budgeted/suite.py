"""A test suite: a service in a thread, a child, and a coroutine, each of which blocks its loop for 0.4 s."""

import asyncio
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
import uvicorn


def ask_slowly():
    time.sleep(0.4)


async def app(scope, receive, send):
    if scope["path"] == "/slow":
        ask_slowly()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


@pytest.fixture
def service():
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run, name="service")
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield "http://127.0.0.1:%d" % server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def test_in_a_thread(service):
    assert urllib.request.urlopen(service + "/slow").read() == b"served"


def test_quickly(service):
    assert urllib.request.urlopen(service + "/").read() == b"served"


def test_in_a_child():
    code = "import asyncio, time\nasync def main():\n    time.sleep(0.4)\nasyncio.run(main())"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_in_a_coroutine():
    async def main():
        ask_slowly()

    asyncio.run(main())
