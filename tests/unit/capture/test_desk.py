"""The desk: what is asked for, in which order it is made, and what is left of it whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.engine import FakeEngine
from support.loops import in_loop
from support.views import WATCHED

from vitalsd.capture.desk import Desk
from vitalsd.capture.engines.registry import CaptureError, Fit, RoomError, Subject
from vitalsd.capture.hostlock import host_lock
from vitalsd.capture.ledger import CUT_OFF, Ledger
from vitalsd.capture.model import ENDED, Capture, CaptureKind
from vitalsd.capture.policy import Facts
from vitalsd.capture.store import Store
from vitalsd.errors import NotFound
from vitalsd.model import WorkerKey
from vitalsd.settings.model import Capture as CaptureSettings
from vitalsd.settings.model import Settings
from vitalsd.targets.processes import read_key

MIB = 1 << 20
LISTEN = "127.0.0.1:18780"
KEY = read_key(Path("/proc"), os.getpid())
FINE = Facts(state="S", threads=8, heap_bytes=100 * MIB, left_bytes=1024 * MIB, free_bytes=10 << 30)


class World:
    """One worker, which is this process, and an agent that may be ended and started again."""

    def __init__(self, folder: Path, *engines: FakeEngine, **keys: Any) -> None:
        self.folder = folder
        self.engines = engines
        self.settings = Settings(capture=CaptureSettings(**({"cooldown": 0.0, "per_hour": 100} | keys)))
        self.key: WorkerKey | None = KEY
        self.late: float | None = None
        self.ended: list[Capture] = []
        self.desk = self.started()

    def started(self) -> Desk:
        """A desk on what lies there."""
        ledger = Ledger(lambda: self.folder, LISTEN)
        ledger.start()
        self.store = Store(lambda: self.folder, LISTEN)
        desk = Desk(self, ledger, self.store, self.settings, self.engines)
        self.running = asyncio.ensure_future(desk.run())
        return desk

    def subject(self, target: str, worker: str | None) -> Subject:
        """The only one there is."""
        if target != "shop" or worker not in (None, "0") or self.key is None:
            raise NotFound(f"No worker `{worker}` of `{target}` is up")
        return Subject(replace(WATCHED, target="shop", slot="0", key=self.key), None)

    def late_seconds(self, _key: WorkerKey) -> float | None:
        """As a test has set it."""
        return self.late

    def busy_share(self, _subject: Subject) -> float:
        """Hardly."""
        return 0.05

    def agent_late_seconds(self, _seconds: float) -> float:
        """Never."""
        return 0.0

    def captured(self, capture: Capture) -> None:
        """Keep it for the test."""
        self.ended.append(capture)

    def ask(self, kind: CaptureKind = "cpu", **more: Any) -> Capture:
        """Somebody does."""
        known: dict[str, Any] = {"seconds": 1.0, "reason": "a test", "asked_by": "person", "who": "me"}
        return self.desk.ask(kind, "shop", None, **(known | more))

    async def end_of(self, capture: Capture) -> Capture:
        """What became of it."""
        while True:
            now = self.desk.one(capture.id)
            assert now is not None
            if now.state in ENDED:
                return now
            await asyncio.sleep(0.005)

    @property
    def stored(self) -> list[str]:
        """What lies in the folder of captures, whole or not."""
        return sorted(path.name for path in self.store.root.iterdir()) if self.store.root.exists() else []


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A host on which everything is fine, and nobody else captures."""
    name = f"\0vitalsd-test-{secrets.token_hex(8)}"
    monkeypatch.setattr("vitalsd.capture.turns.host_lock", lambda: host_lock(name))
    monkeypatch.setattr("vitalsd.capture.chooser.read_facts", lambda *_args, **_more: FINE)
    return name


@in_loop
async def test_taken(tmp_path: Path) -> None:
    """What is asked for is made, kept with its manifest, told to whom it concerns, and can be opened."""
    engine = FakeEngine()
    world = World(tmp_path, engine)
    waiting = world.ask()
    assert (waiting.state, waiting.engine, waiting.pid) == ("waiting", "fake", os.getpid())
    done = await world.end_of(waiting)
    assert (done.state, done.pause_seconds, done.harm) == ("done", 0.001, None)
    assert done.summary == {"top_functions": [{"function": "f"}]}
    assert [artifact.name for artifact in done.artifacts] == ["profile.txt"]
    assert world.stored == [done.id]
    opened = await world.desk.open_file(done.id, "profile.txt")
    assert opened is not None
    assert os.read(opened.descriptor, 100) == b"whole"
    os.close(opened.descriptor)
    assert await world.desk.open_file(done.id, "half") is None
    assert [capture.id for capture in world.ended] == [done.id]
    assert world.desk.counts().taken == {("shop", "cpu"): 1}
    assert world.desk.counts().pause_seconds == {("shop", "cpu"): 0.001}
    await world.desk.close()


@in_loop
async def test_one_at_a_time(tmp_path: Path) -> None:
    """However many are asked for, one is made at a time, in their order."""
    engines = FakeEngine(), FakeEngine("other", "heap")
    world = World(tmp_path, *engines)
    asked = [world.ask("cpu" if turn % 2 else "heap") for turn in range(6)]
    ended = [await world.end_of(capture) for capture in asked]
    assert {capture.state for capture in ended} == {"done"}
    begun = [capture.started_at for capture in ended]
    assert begun == sorted(begun)
    assert [engine.most_at_once for engine in engines] == [1, 1]
    await world.desk.close()


@in_loop
async def test_another_agent_captures(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another agent of the host captures this one waits, and gives up in the end with a reason."""
    monkeypatch.setattr("vitalsd.capture.turns.HOST_RETRY_SECONDS", 0.01)
    engine = FakeEngine()
    world = World(tmp_path, engine)
    with host_lock(host) as mine:
        assert mine
        waiting = world.ask()
        await asyncio.sleep(0.1)
        assert (world.desk.one(waiting.id) or waiting).state == "waiting"
        assert world.desk.waits_for(waiting.id) == "for another agent of this host, which is capturing"
    assert (await world.end_of(waiting)).state == "done"
    monkeypatch.setattr("vitalsd.capture.turns.HOST_SECONDS", 0.1)
    with host_lock(host):
        refused = await world.end_of(world.ask())
    assert (refused.state, refused.refusal) == ("refused", "host")
    await world.desk.close()


@in_loop
async def test_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the policy refuses is a capture with a reason, counted, and leaves no file."""
    world = World(tmp_path, FakeEngine())
    monkeypatch.setattr("vitalsd.capture.chooser.read_facts", lambda *_args, **_more: replace(FINE, state="T"))
    refused = world.ask()
    assert (refused.state, refused.refusal) == ("refused", "stopped")
    assert "is stopped, and left alone until it goes on" in (refused.problem or "")
    assert world.desk.counts().refused == {("shop", "cpu", "stopped"): 1}
    assert (world.desk.one(refused.id), world.stored) == (refused, [])
    with pytest.raises(NotFound):
        world.desk.ask("cpu", "nobody", None, reason="", asked_by="person", who="me")
    await world.desk.close()


@in_loop
async def test_refused_at_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was fine when it was asked for is looked at again before it begins."""
    first = FakeEngine()
    first.go.clear()
    world = World(tmp_path, first, FakeEngine("other", "heap"))
    running, waiting = world.ask(), world.ask("heap")
    await first.began.wait()
    monkeypatch.setattr("vitalsd.capture.chooser.read_facts", lambda *_args, **_more: replace(FINE, state=None))
    first.go.set()
    assert (await world.end_of(running)).state == "done"
    assert (await world.end_of(waiting)).refusal == "gone"
    await world.desk.close()


@in_loop
async def test_a_lighter_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the heavy engine has no room the light one is used, and the capture says why; without one, nothing."""
    heavy = FakeEngine("tracker", "memory", fit=Fit(True, "it can", weight="heavy"))
    light = FakeEngine("census", "heap")
    world = World(tmp_path, heavy, light)
    short = replace(FINE, left_bytes=120 * MIB)
    monkeypatch.setattr("vitalsd.capture.chooser.read_facts", lambda *_args, **_more: short)
    done = await world.end_of(world.ask("memory"))
    assert (done.state, done.kind, done.engine) == ("done", "memory", "census")
    assert "120 MiB" in str(done.summary["instead"])
    light.answer = Fit(False, "there is no probe")
    assert world.ask("memory").refusal == "headroom"
    heavy.answer = Fit(False, "there is no memray")
    refused = world.ask("memory")
    assert refused.refusal == "engine"
    assert refused.problem == "tracker: there is no memray; census: there is no probe"
    await world.desk.close()


@pytest.mark.parametrize(
    "error", [CaptureError("py-spy was killed"), RuntimeError("a mistake"), OSError(28, "full")]
)
@in_loop
async def test_failed(tmp_path: Path, error: Exception) -> None:
    """Whatever an engine raises fails its capture and nothing else; no half of it is left."""
    engine = FakeEngine()
    engine.error = error
    world = World(tmp_path, engine)
    failed = await world.end_of(world.ask())
    assert failed.state == "failed"
    assert str(error) in (failed.problem or "")
    assert (failed.artifacts, world.stored) == ((), [])
    engine.error = None
    assert (await world.end_of(world.ask())).state == "done"
    assert world.desk.counts().failed == {("shop", "cpu"): 1}
    await world.desk.close()


@in_loop
async def test_stopped_early(tmp_path: Path) -> None:
    """One that is stopped keeps what it has."""
    engine = FakeEngine()
    engine.go.clear()
    world = World(tmp_path, engine)
    running = world.ask()
    await engine.began.wait()
    assert world.desk.progress(running.id) is not None
    stopping = world.desk.stop(running.id)
    assert stopping is not None
    assert stopping.state == "stopping"
    done = await world.end_of(running)
    assert (done.state, [artifact.size_bytes for artifact in done.artifacts]) == ("done", [5])
    assert world.desk.progress(running.id) is None
    await world.desk.close()


@in_loop
async def test_cancelled(tmp_path: Path) -> None:
    """One that is cancelled keeps nothing, be it waiting or running; the next one is not held up."""
    engine = FakeEngine()
    engine.go.clear()
    world = World(tmp_path, engine, FakeEngine("other", "heap"))
    running, waiting, last = world.ask(), world.ask("heap"), world.ask("heap")
    await engine.began.wait()
    cancelled = world.desk.cancel(waiting.id)
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    world.desk.cancel(running.id)
    assert (await world.end_of(running)).state == "cancelled"
    assert engine.undone
    assert (await world.end_of(last)).state == "done"
    assert world.stored == [last.id]
    assert not await world.desk.delete("nothing")
    assert await world.desk.delete(last.id)
    assert (world.stored, world.desk.one(last.id)) == ([], None)
    await world.desk.close()


@in_loop
async def test_an_engine_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine has its time and some more, then it is ended."""
    monkeypatch.setattr("vitalsd.capture.making.GRACE_SECONDS", 0.05)
    engine = FakeEngine()
    engine.go.clear()
    world = World(tmp_path, engine)
    failed = await world.end_of(world.ask(seconds=0.05))
    assert (failed.state, engine.undone, world.stored) == ("failed", True, [])
    assert "was ended" in (failed.problem or "")
    await world.desk.close()


@in_loop
async def test_a_loop_that_is_late_meanwhile(tmp_path: Path) -> None:
    """It is told, and not held against the capture: it may be late for any reason of the service's own."""
    engine = FakeEngine()
    engine.go.clear()
    world = World(tmp_path, engine)
    running = world.ask()
    await engine.began.wait()
    world.late = 0.8
    await asyncio.sleep(0.15)
    world.late = None
    engine.go.set()
    done = await world.end_of(running)
    assert (done.harm, done.summary["loop_late_seconds"]) == (None, 0.8)
    assert (await world.end_of(world.ask())).state == "done"
    await world.desk.close()


@in_loop
async def test_a_look_does_not_wait_for_a_watch(tmp_path: Path) -> None:
    """Stacks are of now: they are taken while something else takes its time."""
    slow, quick = FakeEngine(), FakeEngine("look", "stacks")
    slow.go.clear()
    world = World(tmp_path, slow, quick)
    running = world.ask()
    await slow.began.wait()
    assert (await world.end_of(world.ask("stacks"))).state == "done"
    assert world.desk.progress(running.id) is not None
    slow.go.set()
    assert (await world.end_of(running)).state == "done"
    await world.desk.close()


@in_loop
async def test_what_it_waits_for(tmp_path: Path) -> None:
    """Which one runs, and how many come before it; nothing once it runs, or has ended."""
    slow = FakeEngine()
    slow.go.clear()
    world = World(tmp_path, slow, FakeEngine("other", "heap"))
    running = world.ask()
    await slow.began.wait()
    later, person = world.ask("heap", asked_by="incident"), world.ask("heap")
    first = f"for capture {running.id} (`cpu` of shop/0), one is taken at a time"
    assert [world.desk.waits_for(each.id) for each in (running, person, later)] == [
        None,
        first,
        f"{first}; 1 more before it",
    ]
    slow.go.set()
    await world.end_of(later)
    assert world.desk.waits_for(later.id) is None
    await world.desk.close()


@in_loop
async def test_people_first(tmp_path: Path) -> None:
    """Somebody who waits at a terminal is served before what incidents have asked for earlier."""
    slow = FakeEngine()
    slow.go.clear()
    world = World(tmp_path, slow, FakeEngine("other", "heap"))
    running = world.ask()
    await slow.began.wait()
    incident, person = world.ask("heap", asked_by="incident"), world.ask("heap")
    slow.go.set()
    served = [await world.end_of(capture) for capture in (running, person, incident)]
    begun = [capture.started_at for capture in served]
    assert begun == sorted(begun)
    await world.desk.close()


@in_loop
async def test_a_pause_that_is_too_long(tmp_path: Path) -> None:
    """What an engine itself has measured counts."""
    engine = FakeEngine()
    engine.pause_seconds = 0.6
    world = World(tmp_path, engine)
    done = await world.end_of(world.ask())
    assert done.harm == "it held the service for 0.60 s, and 0.25 s is the most"
    await world.desk.close()


@in_loop
async def test_a_pause_that_was_told(tmp_path: Path) -> None:
    """It is told before, and is no harm when it was about that; far longer is, whoever was told."""
    engine = FakeEngine(fit=Fit(True, "it can", holds_seconds=0.5))
    world = World(tmp_path, engine)
    for pause, harm in ((1.9, None), (2.1, "it held the service for 2.10 s, and some 0.5 s were told")):
        engine.pause_seconds = pause
        asked = world.ask(asked_by="person")
        assert asked.holds_seconds == 0.5
        done = await world.end_of(asked)
        assert (done.holds_seconds, done.harm) == (0.5, harm)
    await world.desk.close()


@in_loop
async def test_no_snapshot_instead_of_allocations(tmp_path: Path) -> None:
    """What holds the service is taken for who has asked for it, and for nobody who asked for something else."""
    sampler = FakeEngine("sampler", "memory", fit=Fit(False, "somebody else samples"))
    snapshot = FakeEngine("v8", "heap", fit=Fit(True, "it can", holds_seconds=3.1))
    world = World(tmp_path, sampler, snapshot)
    refused = world.ask("memory", asked_by="person")
    assert (refused.refusal, refused.problem) == ("engine", "sampler: somebody else samples")
    assert world.ask("heap", asked_by="person").engine == "v8"
    await world.desk.close()


@in_loop
async def test_the_agent_ends(tmp_path: Path) -> None:
    """An agent that ends in order ends its engines first, and says so; the next begins with what was kept."""
    engine = FakeEngine()
    world = World(tmp_path, engine)
    kept = await world.end_of(world.ask())
    engine.go.clear()
    engine.began.clear()
    running = world.ask()
    await engine.began.wait()
    await world.desk.close()
    world.running.cancel()
    assert engine.undone
    assert world.ask().refusal == "closed"
    engine.go.set()
    world.desk = world.started()
    states = {capture.id: (capture.state, capture.problem) for capture in world.desk.latest()}
    assert states[kept.id] == ("done", None)
    assert states[running.id] == ("failed", "the agent has ended")
    assert world.stored == [kept.id]
    await world.desk.close()


@in_loop
async def test_pinned(tmp_path: Path) -> None:
    """What is pinned stays when there is no room for more; the oldest of the others goes."""
    world = World(tmp_path, FakeEngine(), quota=20_000)
    first = await world.end_of(world.ask())
    second = await world.end_of(world.ask())
    pinned = await world.desk.pin(first.id, pinned=True)
    assert pinned is not None
    assert pinned.pinned
    third = await world.end_of(world.ask())
    assert world.stored == sorted([first.id, third.id])
    assert world.desk.one(second.id) is None
    assert await world.desk.pin("nothing", pinned=True) is None
    await world.desk.close()


@in_loop
async def test_compared_with_the_one_before(tmp_path: Path) -> None:
    """An engine gets the files of the latest capture that it made of the same process, to compare with."""
    engine = FakeEngine()
    world = World(tmp_path, engine)
    first = await world.end_of(world.ask())
    await world.end_of(world.ask())
    assert engine.jobs[0].before is None
    assert engine.jobs[1].before == world.store.folder(first.id)
    await world.desk.close()


@in_loop
async def test_killed_in_the_middle(tmp_path: Path) -> None:
    """What was under way when an agent was killed is told as cut off by the next, and leaves no file."""
    engine = FakeEngine()
    world = World(tmp_path, engine)
    waiting = world.ask()
    running = replace(waiting, state="running", started_at=waiting.asked_at)
    world.desk._ledger.put(running)
    world.store.begin(waiting.id)
    world.desk._orders.clear()
    world.running.cancel()
    world.desk._ledger.close()
    world.desk = world.started()
    cut = world.desk.one(waiting.id)
    assert cut is not None
    assert (cut.state, cut.problem) == ("failed", CUT_OFF)
    done = await world.end_of(world.ask())
    assert world.stored == [done.id]
    await world.desk.close()


@in_loop
async def test_cancelled_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who cancels twice, while the disk does not let go of what there is, does not leave it active."""
    engine = FakeEngine()
    engine.go.clear()
    world = World(tmp_path, engine)
    running = world.ask()
    await engine.began.wait()

    def fails(_name: str) -> bool:
        raise CaptureError("the disk has become read-only")

    monkeypatch.setattr(world.store, "delete", fails)
    for _ in range(3):
        stopping = world.desk.cancel(running.id)
        assert stopping is not None
        assert stopping.state == "stopping"
        await asyncio.sleep(0)
    assert (await world.end_of(running)).state == "cancelled"
    engine.go.set()
    assert (await world.end_of(world.ask())).state == "done"
    await world.desk.close()


@in_loop
async def test_cancelled_before_its_first_step(tmp_path: Path) -> None:
    """One whose turn has just come, and that is cancelled in that very moment, ends all the same."""
    world = World(tmp_path, FakeEngine())
    waiting = world.ask()
    order = world.desk._orders[waiting.id]
    while order.task is None:  # noqa: ASYNC110 - its first step comes with the next turn of the loop
        await asyncio.sleep(0)
    world.desk.cancel(waiting.id)
    assert (await world.end_of(waiting)).state == "cancelled"
    assert world.stored == []
    await world.desk.close()


@in_loop
async def test_a_full_disk_is_not_the_engines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the disk was full, the engine is used as soon as there is room again."""
    engine = FakeEngine()
    engine.error = OSError(28, "full")
    world = World(tmp_path, engine)
    for _ in range(3):
        assert (await world.end_of(world.ask())).refusal == "disk"
    engine.error = CaptureError("it was ended: there is no room")
    monkeypatch.setattr("vitalsd.capture.shelf.free_bytes", lambda _folder: 0)
    for _ in range(3):
        assert (await world.end_of(world.ask())).refusal == "disk"
    monkeypatch.undo()
    engine.error = None
    monkeypatch.setattr("vitalsd.capture.chooser.read_facts", lambda *_args, **_more: FINE)
    assert (await world.end_of(world.ask())).state == "done"
    await world.desk.close()


@in_loop
async def test_a_small_agent_is_not_the_engines_fault(tmp_path: Path) -> None:
    """However often its programs had too little memory, the engine is used as soon as there is more."""
    engine = FakeEngine()
    engine.error = RoomError("the files are more than can be made")
    world = World(tmp_path, engine)
    for _ in range(3):
        told = await world.end_of(world.ask())
        assert (told.state, told.refusal) == ("failed", "own_memory")
    engine.error = None
    assert (await world.end_of(world.ask())).state == "done"
    await world.desk.close()


@in_loop
async def test_two_agents_of_one_folder(tmp_path: Path) -> None:
    """One that begins while another is at work in the same folder touches nothing there."""
    engine = FakeEngine()
    first = World(tmp_path, engine)
    kept = await first.end_of(first.ask())
    engine.go.clear()
    engine.began.clear()
    running = first.ask()
    await engine.began.wait()
    second = World(tmp_path, FakeEngine())
    await asyncio.sleep(0.5)
    assert first.stored == sorted([kept.id, f".tmp-{running.id}"])
    await second.desk.close()
    engine.go.set()
    assert (await first.end_of(running)).state == "done"
    await first.desk.close()


@in_loop
async def test_copied_when_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `capture.upload` set, by a reload too, what is done is copied there, and says so."""
    monkeypatch.setattr("vitalsd.capture.uploads.LOOK_SECONDS", 0.02)
    world = World(tmp_path / "here", FakeEngine())
    done = await world.end_of(world.ask())
    there = CaptureSettings(cooldown=0.0, per_hour=100, upload=f"file://{tmp_path}/there")
    world.desk.reconfigure(Settings(capture=there))
    async with asyncio.timeout(20):
        while (copied := world.desk.one(done.id)) is not None and copied.uploaded_at is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert copied is not None
    assert copied.upload_problem is None
    assert (tmp_path / "there" / done.id / "profile.txt").read_text() == "whole"
    counts = world.desk.counts()
    assert (counts.uploaded, counts.uploads_failed) == (1, 0)
    await world.desk.close()


@in_loop
async def test_what_cannot_be_copied_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt, whatever was in the way."""
    monkeypatch.setattr("vitalsd.capture.uploads.LOOK_SECONDS", 0.02)
    world = World(tmp_path / "here", FakeEngine())
    (tmp_path / "there").write_text("a file is in the way")
    done = await world.end_of(world.ask())
    there = CaptureSettings(cooldown=0.0, per_hour=100, upload=f"file://{tmp_path}/there")
    world.desk.reconfigure(Settings(capture=there))
    async with asyncio.timeout(20):
        while not world.desk.counts().uploads_failed:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    failed = world.desk.one(done.id)
    assert failed is not None and failed.upload_problem
    assert world.desk.counts().uploaded == 0
    await world.desk.close()
