"""Incidents ask for their captures, and tell what came of that."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from support.captures import PROFILE
from support.engine import FakeEngine
from support.loops import in_loop
from support.views import WATCHED

from vitalsd.capture.engines.registry import CaptureError, Fit, Subject
from vitalsd.capture.hostlock import host_lock
from vitalsd.capture.model import ACTIVE, Capture
from vitalsd.capture.policy import Facts
from vitalsd.capturing import Capturing, _told
from vitalsd.errors import NotFound
from vitalsd.incidents.book import Book
from vitalsd.model import Finding, Frame, Incident
from vitalsd.settings.model import Capture as CaptureSettings
from vitalsd.settings.model import Settings, Storage
from vitalsd.targets.processes import read_key

KEY = read_key(Path("/proc"), os.getpid())
FINE = Facts(state="S", threads=8, heap_bytes=100 << 20, left_bytes=1 << 30, free_bytes=10 << 30)


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host on which everything is fine, and nobody else captures."""
    name = f"\0vitalsd-test-{secrets.token_hex(8)}"
    monkeypatch.setattr("vitalsd.capture.turns.host_lock", lambda: host_lock(name))
    tell(monkeypatch, FINE)


def tell(monkeypatch: pytest.MonkeyPatch, facts: Facts) -> None:
    """Have the host and the worker be like this from now on."""
    monkeypatch.setattr("vitalsd.capture.chooser.read_facts", lambda *_args, **_more: facts)


class World:
    """One worker, which is this process, its incidents, and one engine of each kind."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **keys: Any) -> None:
        self.engines = {kind: FakeEngine(kind + "-engine", kind) for kind in ("stacks", "cpu", "memory", "heap")}
        monkeypatch.setattr("vitalsd.capture.chooser.make_engines", lambda _settings: tuple(self.engines.values()))
        self.settings = Settings(
            capture=CaptureSettings(**({"cooldown": 0.0, "per_hour": 100} | keys)),
            storage=Storage(dir=str(folder)),
        )
        self.late: tuple[Any, ...] = ()
        self.worker = replace(WATCHED, target="shop", slot="0", key=KEY)
        self.book = Book(lambda: folder, "127.0.0.1:18780")
        self.book.start()
        state: Any = SimpleNamespace(
            subject=self.subject, worker=lambda *_where: self.worker, recent=lambda _w: {}
        )
        observer: Any = SimpleNamespace(in_progress=lambda _key: self.late, late_seconds=lambda *_times: 0.0)
        self.capturing = Capturing(state, observer, self.book, self.settings)
        self.capturing.start()
        self.running = asyncio.ensure_future(self.capturing.desk.run())

    def subject(self, target: str, worker: str | None) -> Subject:
        """The only one there is."""
        if (target, worker) != ("shop", "0"):
            raise NotFound("nobody")
        return Subject(self.worker, None)

    def find(self, kind: str, times: int = 1, **more: Any) -> None:
        """A detector finds something."""
        for _ in range(times):
            finding = Finding(
                kind=kind, target="shop", worker="0", severity="warning", at=time.time(), summary="So.", **more
            )
            self.capturing.follow(self.book.take([finding]))

    async def ended(self) -> tuple[Capture, ...]:
        """Every capture, once none is waiting or running any more, in the order in which they were asked for."""
        await self.until(lambda: all(each.state not in ACTIVE for each in self.capturing.desk.latest()))
        return self.capturing.desk.latest()[::-1]

    async def until(self, so: Callable[[], bool]) -> None:
        """Let the desk work until it is so."""
        async with asyncio.timeout(20.0):
            while not so():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)

    def incident(self, kind: str) -> Incident:
        """The latest of this kind."""
        return next(each for each in self.book.incidents() if each.kind == kind)

    async def close(self) -> None:
        """End in order."""
        await self.capturing.close()
        self.running.cancel()
        self.book.close()


@in_loop
async def test_a_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An incident gets what its kind is worth, once, and tells it: ids, first lines, entries in the timeline."""
    world = World(tmp_path, monkeypatch)
    world.find("leak", 3)
    captures = await world.ended()
    incident = world.incident("leak")
    assert [(capture.kind, capture.state) for capture in captures] == [("memory", "done"), ("heap", "done")]
    assert {capture.asked_by for capture in captures} == {"incident"}
    assert {capture.incident for capture in captures} == {incident.id}
    assert incident.captures == tuple(capture.id for capture in captures)
    assert incident.evidence["top_functions"] == [{"function": "f"}]
    assert [entry["event"] for entry in incident.timeline].count("captured") == 2
    assert incident.count == 3
    await world.close()


def test_a_list_is_told_with_what_it_cannot_be_read_without() -> None:
    """Of which type the holders are, and that there may be more; other figures stay with the capture."""
    holders = [{"samples": 12, "rooted": True, "chain": "app.CACHE (global) -> app.Session"}]
    summary = {"holders": holders, "held_type": "app.Session", "holders_cut": "ended at 38%", "census_share": 0.5}
    told = _told(replace(PROFILE, summary=summary))
    assert told == {"holders": holders, "held_type": "app.Session", "holders_cut": "ended at 38%"}
    assert _told(replace(PROFILE, summary={**summary, "holders": []})) == {}


@in_loop
async def test_growth_that_becomes_a_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Growth is the baseline, the leak the second one: the engine is given the first to compare with."""
    world = World(tmp_path, monkeypatch)
    world.find("growth")
    first = (await world.ended())[0]
    world.find("leak")
    await world.ended()
    jobs = world.engines["memory"].jobs
    assert [job.before is not None for job in jobs] == [False, True]
    assert jobs[1].before is not None
    assert jobs[1].before.name == first.id
    await world.close()


@in_loop
async def test_a_stall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads while the loop is late, and a profile when it is late again and again."""
    world = World(tmp_path, monkeypatch)
    world.find("stall", cause="blocking_cpu")
    assert await world.ended() == ()
    world.late = (SimpleNamespace(seconds=1.5),)
    world.find("stall", cause="blocking_cpu")
    assert [capture.kind for capture in await world.ended()] == ["stacks"]
    world.late = ()
    world.find("stall", 3, cause="blocking_cpu")
    assert [capture.kind for capture in await world.ended()] == ["stacks", "cpu"]
    await world.close()


@in_loop
async def test_a_second_incident_has_stacks_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another culprit soon after; the same one, come back with another worker's incident, has to wait."""
    world = World(tmp_path, monkeypatch, cooldown=600.0, per_hour=6)
    world.late = (SimpleNamespace(seconds=1.5),)
    first, second = Frame("fetch", "/srv/shop/db.py", 7), Frame("parse", "/srv/shop/orders.py", 41)
    for culprit in (first, second, replace(second, line=43)):
        world.find("stall", cause="blocking_call", culprit=culprit)
    told = {capture.about: capture.state for capture in await world.ended()}
    about = "stall blocking_call /srv/shop"
    assert told == {f"{about}/db.py:fetch": "done", f"{about}/orders.py:parse": "done"}
    world.find("worker_hung", cause="blocking_call", culprit=second)
    world.find("stall", cause="lock_wait", culprit=second)
    assert [capture.refusal for capture in await world.ended()] == [None, None, None, "cooldown"]
    await world.close()


@in_loop
async def test_told_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused or fails is told in the incident; a later capture takes that back."""
    world = World(tmp_path, monkeypatch)
    world.engines["heap"].error = CaptureError("the probe hung up")
    world.find("gc_pressure")
    assert [capture.state for capture in await world.ended()] == ["failed"]
    assert world.incident("gc_pressure").evidence["no_capture_reason"] == "heap: the probe hung up"
    assert world.incident("gc_pressure").captures == ()
    world.engines["heap"].error = None
    world.find("leak")
    await world.ended()
    assert "no_capture_reason" not in world.incident("leak").evidence
    await world.close()


@in_loop
async def test_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused for a reason that passes is asked for again while the incident is open."""
    monkeypatch.setattr("vitalsd.capturing.AGAIN_SECONDS", 0.05)
    world = World(tmp_path, monkeypatch)
    busy = replace(FINE, load=100.0)
    tell(monkeypatch, busy)
    world.find("starvation")
    assert [capture.refusal for capture in await world.ended()] == ["overload"]
    assert "load" in str(world.incident("starvation").evidence["no_capture_reason"])
    tell(monkeypatch, FINE)
    await world.until(lambda: world.incident("starvation").captures != ())
    assert "no_capture_reason" not in world.incident("starvation").evidence
    await world.close()


@in_loop
async def test_a_stall_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stalling loop keeps from being taken is taken soon after: its process may not live for long."""
    monkeypatch.setattr("vitalsd.capturing.SOON_SECONDS", 0.05)
    world = World(tmp_path, monkeypatch)
    stalling = replace(FINE, late_seconds=0.2)
    tell(monkeypatch, stalling)
    world.find("leak")
    assert {capture.refusal for capture in await world.ended()} == {"stalling"}
    tell(monkeypatch, FINE)
    await world.until(lambda: world.incident("leak").captures != ())
    await world.close()


@in_loop
async def test_not_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `capture.automatic` is false no incident asks; a person still may."""
    world = World(tmp_path, monkeypatch, automatic=False)
    world.find("leak")
    assert await world.ended() == ()
    world.capturing.desk.ask("heap", "shop", "0", reason="", asked_by="person", who="me")
    assert [capture.state for capture in await world.ended()] == ["done"]
    await world.close()


@in_loop
async def test_a_storm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many incidents there are, no more is taken than the budget has, and each is told why not."""
    world = World(tmp_path, monkeypatch, per_hour=3)
    for number in range(100):
        world.find("stall", 3, cause=f"cause {number}", culprit=None)
    for number in range(100):
        world.find("starvation", cause=str(number))
    captures = await world.ended()
    assert sum(capture.state == "done" for capture in captures) == 3
    without = [each for each in world.book.incidents() if each.kind == "starvation" and not each.captures]
    assert without
    assert all("capture.per_hour" in str(each.evidence["no_capture_reason"]) for each in without)
    await world.close()


@in_loop
async def test_who_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever judges the worker knows the captures that hold it: while they run, and what was measured after."""
    world = World(tmp_path, monkeypatch)
    engine = world.engines["heap"]
    engine.answer = Fit(True, "it can", holds_seconds=3.1)
    engine.pause_seconds = 5.2
    engine.go.clear()
    more = {"reason": "why not", "asked_by": "person", "who": "127.0.0.1"}
    assert world.capturing.holds_of(world.worker) == ()
    asked = world.capturing.desk.ask("heap", "shop", "0", **more)
    await engine.began.wait()
    world.worker = replace(world.worker, at=time.time())
    (hold,) = world.capturing.holds_of(world.worker)
    assert (hold.capture, hold.told_seconds, hold.pause_seconds, hold.runs) == (asked.id, 3.1, None, True)
    assert (hold.kind, hold.asked_by, hold.watches) == ("heap", "person", False)
    engine.go.set()
    world.capturing.desk.ask("stacks", "shop", "0", **more)
    await world.ended()
    (hold,) = world.capturing.holds_of(world.worker)
    assert (hold.pause_seconds, hold.runs) == (5.2, False)
    assert world.capturing.holds_of(replace(world.worker, key=replace(KEY, pid=KEY.pid + 1))) == ()
    assert world.capturing.holds_of(replace(world.worker, at=time.time() + 3600)) == ()
    await world.close()


@in_loop
async def test_harm_is_an_incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture that has harmed the service is told as what it is, with what was switched off."""
    world = World(tmp_path, monkeypatch)
    world.engines["cpu"].pause_seconds = 0.9
    world.find("starvation")
    await world.ended()
    incident = world.incident("capture_harmful")
    assert "cpu-engine is not used for `cpu` there" in incident.summary
    assert incident.evidence["capture"] == world.incident("starvation").captures[0]
    await world.close()
