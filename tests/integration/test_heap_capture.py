"""
What a census of a service that leaks says when it is taken twice: what grows, and who holds it.

Uses grows.py of tests/targets. A census takes seconds, most of them pauses: some services are asked at once.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from msgspec.structs import replace
from support.probed import PYTHONS, Probed, find_python, probed
from support.views import OBSERVED
from support.waiting import wait_for

from vitalsd.capture.census import socket_of
from vitalsd.capture.engines.heap import CensusEngine
from vitalsd.capture.engines.registry import Job, Made, Subject
from vitalsd.settings.model import Settings
from vitalsd.targets.processes import read_key

HELD = [
    ("sessions", "__main__.Session", ["__main__.SESSIONS (global)", "dict[...]", "__main__.Session"]),
    ("closures", "function", ["__main__.CALLBACKS (global)", "list[...]", "function"]),
    (
        "listeners",
        "method",
        ["__main__.EMITTER (global)", "__main__.Emitter.listeners", "list[...]", "method"],
    ),
    (
        "captured",
        "__main__.Session",
        ["__main__.CALLBACKS (global)", "list[...]", "remember.<locals>.again (closure)"],
    ),
    ("class", "__main__.Session", ["__main__.Registry.known (class)", "set[...]", "__main__.Session"]),
    ("queue", "__main__.Session", ["__main__.QUEUE (global)", "collections.deque[...]", "__main__.Session"]),
    ("local", "__main__.Session", ["main (local)", "list[...]", "__main__.Session"]),
]
AT_ONCE = 4
"""So many take a processor together."""
PATIENCE_SECONDS = 120.0


def subject(service: Probed) -> Subject:
    """This service as an engine gets it, once its probe listens."""
    key = read_key(Path("/proc"), service.pid)
    assert key is not None

    def look() -> Path | None:
        found = service.folder.glob(f"*-{service.pid}-*.seg")
        return next((path for path in found if socket_of(path).exists()), None)

    return Subject(replace(OBSERVED, key=key), wait_for("the control socket", look))


def take(who: Subject, folder: Path, before: Path | None = None) -> Made:
    """One capture in this folder."""

    async def run() -> Made:
        return await CensusEngine(Settings()).take(Job("one", who, 0.0, folder, asyncio.Event(), 1 << 24, before))

    folder.mkdir(mode=0o700)
    return asyncio.run(run())


SLOWLY = dict.fromkeys(("captured", "class"), "600")
"""Leaks a second: who holds them is sought for four seconds of processor time at most, and is steps away here."""


class Taken(NamedTuple):
    """Two captures of one service, and what it has written to standard error."""

    folder: Path
    first: Made
    second: Made
    err: str


def leak(python: str, what: str, folder: Path) -> Taken:
    """Have a service of this Python leak so, and take both."""
    folder.mkdir()
    with probed(["grows.py", what, SLOWLY.get(what, "2500")], folder, python) as service:
        service.line()
        who = subject(service)
        assert CensusEngine(Settings()).fit(who).fits
        first = take(who, folder / "first")
        time.sleep(2.0)  # it leaks meanwhile: enough for most of its type to be new
        second = take(who, folder / "second", folder / "first")
        _, _, err = service.end()
    return Taken(folder, first, second, err)


@pytest.fixture(scope="module", params=PYTHONS)
def leaks(request: pytest.FixtureRequest, memory: Path) -> Iterator[dict[str, Future[Taken]]]:
    """Of one Python, what comes of each."""
    python = find_python(request.param)
    if python is None:
        pytest.skip(f"there is no Python {request.param} on PATH or in pyenv")
    with (
        tempfile.TemporaryDirectory(dir=memory) as folder,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        yield {what: pool.submit(leak, python, what, Path(folder) / what) for what, *_ in HELD}


@pytest.mark.parametrize(("what", "kind", "chain"), HELD, ids=[what for what, *_ in HELD])
def test_what_grows_and_who_holds_it(
    leaks: dict[str, Future[Taken]], what: str, kind: str, chain: list[str]
) -> None:
    """The type that leaks is first, and the chain that most of its samples have begins with who holds them."""
    folder, first, second, err = leaks[what].result(PATIENCE_SECONDS)
    file = msgspec.json.decode((folder / "second" / "census.json").read_bytes())
    text = (folder / "second" / "census.txt").read_text()
    grown = second.summary["growing_types"]
    assert isinstance(grown, list)
    assert grown[0]["type"] == kind, grown
    assert first.summary["growing_types"] == []
    assert file["held"]["type"] == kind
    best = file["held"]["chains"][0]
    assert best["steps"][: len(chain)] == chain, text
    assert best["rooted"]
    assert best["samples"] >= 6
    assert chain[0] in text
    assert second.pause_seconds > 0
    assert "session 1" not in text
    assert err == ""
