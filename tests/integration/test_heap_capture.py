"""What a census of a service that leaks says when it is taken twice: what grows, and who holds it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from support.probed import Probed, probed
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


@pytest.mark.parametrize(("what", "kind", "chain"), HELD)
def test_what_grows_and_who_holds_it(
    any_python: str, tmp_path: Path, what: str, kind: str, chain: list[str]
) -> None:
    """The type that leaks is first, and the chain that most of its samples have begins with who holds them."""
    with probed(["grows.py", what, "2500"], tmp_path, any_python) as service:
        service.line()
        who = subject(service)
        assert CensusEngine(Settings()).fit(who).fits
        first = take(who, tmp_path / "first")
        time.sleep(1.0)  # it leaks meanwhile
        second = take(who, tmp_path / "second", tmp_path / "first")
        _, _, err = service.end()

    file = msgspec.json.decode((tmp_path / "second" / "census.json").read_bytes())
    text = (tmp_path / "second" / "census.txt").read_text()
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
