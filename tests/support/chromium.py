"""A real browser without a window, driven over a pipe: no port is opened, and nothing but a page is told to it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_SECONDS = 60.0


def _program() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium is installed (Debian: apt install chromium)")


class RefusedError(Exception):
    """The browser does not do what it is told."""


class Page:
    """One tab."""

    def __init__(self, writing: int, reading: int) -> None:
        self._writing, self._reading = writing, reading
        self._read = b""
        self._number = 0
        self._session: str | None = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Page.enable")

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        self._call("Page.navigate", url=url)
        self.wait("document.readyState == 'complete'")

    def evaluate(self, script: str) -> Any:
        """What a script comes to, in a world without the page's policies; None if the page goes meanwhile."""
        frame = self._call("Page.getFrameTree")["frameTree"]["frame"]["id"]
        try:
            world = self._call("Page.createIsolatedWorld", frameId=frame)["executionContextId"]
            answer = self._call("Runtime.evaluate", expression=script, contextId=world, returnByValue=True)
        except RefusedError as error:
            if "Cannot find context" in str(error) or "No frame" in str(error):
                return None
            raise
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """The first answer of a script that is true."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (answer := self.evaluate(script)):
            assert time.monotonic() < deadline, f"waited for {script}"
            time.sleep(0.05)
        return answer

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RefusedError(answer["error"]["message"])
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            assert select.select([self._reading], [], [], PATIENCE_SECONDS)[0], "Chromium does not answer"
            piece = os.read(self._reading, 1 << 16)
            assert piece, "Chromium has ended"
            self._read += piece
        told, _, self._read = self._read.partition(b"\0")
        return dict(json.loads(told))


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """A browser with a profile of its own; it is killed at the end."""
    to_it, we_write = os.pipe()
    we_read, from_it = os.pipe()
    command = [
        _program(),
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
        f"--user-data-dir={folder / 'profile'}",
    ]

    environment = {**os.environ, "HOME": str(folder)}
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{to_it} 4>&{from_it}', *command],
            stdin=subprocess.DEVNULL,
            stdout=nowhere,
            stderr=nowhere,
            env=environment,
            pass_fds=(to_it, from_it),
            start_new_session=True,
        )
    os.close(to_it)
    os.close(from_it)
    try:
        yield Page(we_write, we_read)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        os.close(we_write)
        os.close(we_read)
