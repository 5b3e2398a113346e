"""What is done about incidents, round by round: asked, told once, followed, and never twice at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from support.loops import in_loop
from support.remedies import recycling, target, worker

from vitalsd.incidents.book import Book
from vitalsd.model import Finding, Incident, Supervisor, TargetSnapshot, WorkerKey
from vitalsd.remedy.model import Recycling
from vitalsd.remedying import Remedying
from vitalsd.settings.model import Capture, Settings, Storage
from vitalsd.settings.model import Remedy as RemedySettings
from vitalsd.targets.processes import has_gone, read_key

PROC = Path("/proc")
CHILD = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
signal.pause()
"""


def _key(pid: int) -> WorkerKey:
    key = read_key(PROC, pid)
    assert key is not None
    return key


@pytest.fixture
def start() -> Iterator[Callable[[], WorkerKey]]:
    """Starts a child that ends when it is asked to."""
    children = []

    def run() -> WorkerKey:
        child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return _key(child.pid)

    yield run
    for child in children:
        child.kill()
        child.wait()
        child.stdout.close()


BOOKS: list[Book] = []
"""Those that a test has begun."""


@pytest.fixture(autouse=True)
def _books_are_closed() -> Iterator[None]:
    """Their threads would go on, and tell other tests that their files are gone."""
    yield
    while BOOKS:
        BOOKS.pop().close()


class World:
    """A pool of real processes below this one, with the incidents of an agent."""

    def __init__(self, folder: Path, keys: list[WorkerKey], **remedy: Any) -> None:
        self.settings = Settings(
            remedy=RemedySettings(**({"mode": "on"} | remedy)),
            capture=Capture(automatic=False),
            storage=Storage(dir=str(folder)),
        )
        self.keys: list[WorkerKey | None] = list(keys)
        self.now = time.time()
        self.started = dict.fromkeys(keys, self.now - 3600)
        """Those that come later have started when they are first seen."""
        self.book = Book(lambda: folder, "127.0.0.1:18780", clock=lambda: self.now, steady=lambda: self.now)
        self.book.start()
        BOOKS.append(self.book)
        self.captures: tuple[Any, ...] = ()
        self.begin()

    def begin(self) -> None:
        """An agent begins."""
        desk: Any = SimpleNamespace(latest=lambda: self.captures)
        self.remedying = Remedying(
            self.book, desk, self.settings, clock=lambda: self.now, monotonic=lambda: self.now - 1000
        )
        self.expected: list[WorkerKey] = []
        self.remedying.expect = self.expected.append
        self.remedying.start()
        self.running = asyncio.ensure_future(self.remedying.run())

    async def end(self) -> None:
        """It ends, in order or not: what is written is written."""
        self.running.cancel()
        await asyncio.wait({self.running})
        self.remedying.close()

    def target(self) -> TargetSnapshot:
        """The pool as it is."""
        arbiter = Supervisor("gunicorn", _key(os.getpid()), "gunicorn shop:app")
        seats = [
            worker(slot, key=key, started=self.started.setdefault(key, self.now))
            if key is not None
            else worker(slot, up=False, process=None, key=None)
            for slot, key in enumerate(self.keys)
        ]
        return target(seats, arbiter)

    def find(self, slot: int, kind: str = "leak") -> Incident:
        """A detector finds something."""
        finding = Finding(
            kind=kind, target="shop", worker=str(slot), severity="warning", at=self.now, summary="So."
        )
        (incident,) = self.book.take([finding])
        return incident

    def look(self, *targets: TargetSnapshot) -> bool:
        """A round; never whether anything came of it."""
        self.remedying.look(targets or (self.target(),))
        return False

    async def until(self, so: Callable[[], bool]) -> None:
        """Let the agent work until it is so."""
        async with asyncio.timeout(20.0):
            while not so():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)

    def told(self, incident: Incident) -> list[str]:
        """What its timeline says of remedy."""
        (latest,) = [each for each in self.book.incidents() if each.id == incident.id]
        return [str(entry["text"]) for entry in latest.timeline if entry["event"] == "remedy"]

    def state(self) -> str:
        """How the remedy stands."""
        return self.remedying.state("shop").state

    def count(self, outcome: Any) -> int:
        """How often that came of it."""
        return self.remedying.counts().totals.get(("shop", outcome), 0)


@in_loop
async def test_one_is_recycled_and_it_helps(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """Asked once, ended, replaced, judged: each step is in the incident, and the state says where it stands."""
    world = World(tmp_path, [start(), start(), start()])
    incident = world.find(1)
    old = world.keys[1]
    assert old is not None
    world.look()
    world.look()
    assert world.state() == "recycling"
    await world.until(lambda: len(world.told(incident)) == 2)
    assert world.expected[0] == old
    assert has_gone(PROC, old)
    world.keys[1] = None
    world.look()
    assert world.state() == "recycling"
    world.keys[1] = start()
    world.now += 1
    world.look()
    assert world.state() == "watching"
    world.now += 600
    world.look()
    told = world.told(incident)
    assert [text.split(",")[0].split(":")[0] for text in told] == [
        f"worker 1 (pid {old.pid}) was asked to end by SIGTERM",
        "it has ended",
        f"worker 1 was replaced by process {world.keys[1].pid}",
        "it has helped",
    ]
    assert (world.state(), world.count("helped"), world.count("refused")) == ("idle", 1, 0)
    await world.end()


@in_loop
async def test_it_does_not_help_until_the_breaker_opens(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """All leak, whatever is done: one after the other is tried, then nothing more, and a new agent knows that."""
    world = World(tmp_path, [start(), start()], breaker=2, backoff=5.0)
    for _ in range(2):
        world.now += 30
        incidents = [world.find(0), world.find(1)]
        world.look()
        await world.until(lambda: not world.remedying._begun)
        gone = next(slot for slot, key in enumerate(world.keys) if key is not None and has_gone(PROC, key))
        world.keys[gone] = start()
        world.now += 1
        world.look()
    world.now += 30
    world.find(0)
    world.find(1)
    world.look()
    assert world.state() == "stopped"
    assert world.remedying.counts().stopped == {"shop": True}
    assert world.count("did_not_help") == 2
    assert "not recycled: 2 in a row did not help; one more is tried in 1h" in world.told(incidents[0])
    await world.end()
    world.begin()
    world.look()
    assert world.state() == "stopped"
    assert not any(has_gone(PROC, key) for key in world.keys if key is not None)
    await world.end()


@in_loop
async def test_a_dry_run_touches_nobody(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """It says what would have been done, once, and what would have stood in the way."""
    world = World(tmp_path, [start(), start(), start()], mode="dry_run")
    first = world.find(0)
    world.now += 1
    second = world.find(1)
    for _ in range(3):
        world.look()
    (said,) = world.told(first)
    assert said.startswith(f"dry run: worker 0 (pid {world.keys[0].pid}) would have been asked to end by SIGTERM")
    assert world.told(second) == ["dry run: waits: worker 0 comes first"]
    assert not any(has_gone(PROC, key) for key in world.keys if key is not None)
    assert (world.count("would_have"), world.expected, world.state()) == (1, [], "waiting")
    await world.end()


@in_loop
async def test_off_costs_nothing(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """No file, no thread, no word; and it may be switched on later."""
    world = World(tmp_path, [start(), start()], mode="off")
    incident = world.find(0)
    world.look()
    assert (world.state(), world.told(incident), world.remedying.counts().stopped) == ("off", [], {})
    assert [name for name in os.listdir(tmp_path) if name.startswith("remedy-")] == []  # noqa: PTH208
    world.settings = replace(world.settings, remedy=RemedySettings(mode="on"))
    world.remedying.reconfigure(world.settings)
    assert not world.look()
    await world.until(lambda: world.look() or len(world.told(incident)) == 2)
    await world.end()


@in_loop
async def test_captures_first(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """While one of the incident's is missing or under way it waits; refused ones are over as well."""
    world = World(tmp_path, [start(), start()])
    world.settings = replace(world.settings, capture=Capture())
    world.remedying.reconfigure(world.settings)
    incident = world.find(0)

    def capture(kind: str, state: str, **more: Any) -> Any:
        about = {"incident": incident.id, "asked_by": "incident", "target": "shop", "worker": "0"}
        return SimpleNamespace(**(about | {"kind": kind, "state": state} | more))

    world.look()
    world.captures = (capture("memory", "done"), capture("heap", "running"))
    world.look()
    world.captures = (
        capture("memory", "done"),
        capture("heap", "refused"),
        capture("cpu", "waiting", asked_by="person", incident=None),
    )
    world.look()
    assert world.told(incident) == ["waits: its captures are not over yet, 2m at most"]
    world.captures = world.captures[:2]
    world.look()
    await world.until(lambda: len(world.told(incident)) == 3)
    await world.end()


@in_loop
async def test_what_only_the_process_shows(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """One that is stopped since it was sampled is refused, once, and counted once."""
    world = World(tmp_path, [start(), start()])
    incident = world.find(0)
    key = world.keys[0]
    assert key is not None
    os.kill(key.pid, signal.SIGSTOP)
    await asyncio.to_thread(os.waitid, os.P_PID, key.pid, os.WSTOPPED | os.WNOWAIT)
    world.look()
    world.look()
    os.kill(key.pid, signal.SIGCONT)
    assert [text[:26] for text in world.told(incident)] == ["not recycled: it is stoppe"]
    assert (world.count("refused"), world.state()) == (1, "waiting")
    await world.end()


@in_loop
async def test_an_agent_that_was_killed_in_the_middle(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """The next one waits for who was asked, and for the replacement, and begins nothing meanwhile."""
    world = World(tmp_path, [start(), start(), start()], grace=600.0)
    incident = world.find(0)
    world.now += 1
    other = world.find(1)
    key = world.keys[0]
    assert key is not None
    os.kill(key.pid, signal.SIGSTOP)  # unseen by the agent: it does not react to what it is asked
    world.remedying._against = lambda _key, _target: None  # type: ignore[method-assign]

    async def asked(recycling: Recycling, *_given: object) -> Recycling:
        sent = replace(recycling, sent_at=recycling.asked_at)
        world.remedying._recyclings.put(sent)
        return sent

    world.remedying._ending._ask = asked  # type: ignore[method-assign]
    world.look()
    await world.until(lambda: world.expected == [key])
    await world.end()
    world.begin()
    world.look()
    await world.until(lambda: world.expected == [key])
    world.look()
    assert world.state() == "recycling"
    assert "waits: worker 0 is being recycled" in world.told(other)
    os.kill(key.pid, signal.SIGKILL)
    await world.until(lambda: any("it has ended" in text for text in world.told(incident)))
    world.keys[0] = start()
    world.look()
    assert any("was replaced by" in text for text in world.told(incident))
    await world.until(world.remedying._queue.empty)
    assert world.expected == [key]
    assert sum("it has ended" in text for text in world.told(incident)) == 1
    await world.end()


@in_loop
async def test_of_another_boot(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """Its pids and start times mean nobody now: what came of that cannot be said, and nobody is waited for."""
    world = World(tmp_path, [start(), start()])
    more = {"key": world.keys[0], "ended_at": None, "replaced_at": None, "replaced_by": None}
    world.remedying._recyclings.put(recycling(0, at=world.now - 60, **more))
    world.look()
    assert (world.count("unknown"), world.state(), world.expected) == (1, "idle", [])
    await world.end()


@in_loop
async def test_two_agents_that_do_not_know_of_each_other(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """The first that recycles a worker of a supervisor is the only one: the other says so, and does nothing."""
    (tmp_path / "other").mkdir()
    keys = [start(), start(), start()]
    world, other = World(tmp_path, keys), World(tmp_path / "other", keys)
    incident, others = world.find(0), other.find(0)
    world.look()
    other.look()
    await world.until(lambda: len(world.told(incident)) == 2)
    who = f"the workers of its supervisor (pid {os.getpid()})"
    assert other.told(others) == [f"not recycled: another agent recycles {who}, and one is enough"]
    assert (other.state(), other.count("refused"), other.expected) == ("waiting", 1, [])
    await world.end()
    other.keys[0] = None
    second = other.find(1)
    other.look()
    await other.until(lambda: len(other.told(second)) == 2)
    await other.end()


@in_loop
async def test_a_target_that_is_taken_out_meanwhile(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """Whom it had asked is not killed for a configuration that does not want it any more."""
    world = World(tmp_path, [start(), start(), start()], grace=0.4)
    incident = world.find(0)
    key = world.keys[0]
    assert key is not None
    world.remedying._against = lambda _key, _target: None  # type: ignore[method-assign]
    os.kill(key.pid, signal.SIGSTOP)  # unseen by the agent: it does not react to what it is asked

    async def asked(recycling: Recycling, *_given: object) -> Recycling:
        return replace(recycling, sent_at=recycling.asked_at, sent_monotonic=world.now - 1000)

    world.remedying._ending._ask = asked  # type: ignore[method-assign]
    world.look()
    await world.until(lambda: world.expected == [key])
    world.remedying.look([replace(world.target(), name="another")])
    await world.until(lambda: bool(world.told(incident)))
    assert world.told(incident) == ["it has not ended, and is left alone: its target is watched no more"]
    assert not has_gone(PROC, key)
    await world.end()


@in_loop
async def test_without_its_evidence_it_says_so(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """Where the captures take longer than they may, nobody is to look for them in vain."""
    world = World(tmp_path, [start(), start(), start()])
    world.settings = replace(world.settings, capture=Capture())
    world.remedying.reconfigure(world.settings)
    incident = world.find(0)
    world.look()
    world.now += 121
    world.find(0)
    world.look()
    await world.until(lambda: len(world.told(incident)) == 4)
    assert world.told(incident)[1] == (
        "its captures were not over within 2m: it is recycled without what they would have shown"
    )
    await world.end()


@in_loop
async def test_a_clock_that_is_set_takes_no_place_away(tmp_path: Path, start: Callable[[], WorkerKey]) -> None:
    """A replacement has its time by a clock that nobody sets: an hour forward is no day of rest."""
    world = World(tmp_path, [start(), start(), start()])
    world.remedying._monotonic = lambda: 5.0
    world.find(0)
    world.look()
    await world.until(lambda: world.remedying._begun == {})
    world.keys[0] = None
    world.now += 3600
    world.look()
    assert world.state() == "recycling"
    world.remedying._monotonic = lambda: 25.0
    world.look()
    assert (world.state(), world.count("not_replaced")) == ("stopped", 1)
    await world.end()
