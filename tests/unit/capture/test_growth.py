"""Two censuses and the difference, over hours of a clock that only moves when it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.views import OBSERVED, OF_NODE

from vitalsd.capture.census import AGAIN_BUDGET_BYTES, BUDGET_BYTES, Census, NoCensus, TaskList, Waiting
from vitalsd.capture.census_policy import CensusPolicy
from vitalsd.capture.growth import (
    AGAIN_AFTER_REFUSAL_SECONDS,
    AGAIN_SECONDS,
    MOST_OF_A_TARGET,
    QUIET_SECONDS,
    TRIES,
    GrowthCensuses,
)
from vitalsd.model import Finding, Frame, WorkerKey, WorkerSample

NOON = 1_782_907_200.0
"""2026-07-01T12:00:00Z."""
SOCKET = Path("/run/vitalsd/python-50-0a1b2c3d.seg.sock")
POLL = Frame("poll", "/srv/a.py", 3)
STEP = 10.0


class World:
    """Workers in a /proc of the test's own, whose sessions grow by one a second."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc
        self.now = 1000.0
        self.stalling = False
        self.sockets: dict[int, Path] = {}
        self.asked: list[tuple[float, int]] = []
        self.at_once = self.most_at_once = 0
        self.strides: list[tuple[int, int]] = []
        self.error: Exception | None = None
        self.grows = True
        self.sleepers: list[tuple[float, asyncio.Event, asyncio.Event]] = []
        policy = CensusPolicy(lambda _key: self.stalling, proc=proc, clock=lambda: self.now)
        self.censuses = GrowthCensuses(
            lambda key: self.sockets.get(key.pid),
            policy,
            600.0,
            {"descriptors": self.count, "threads": self.count, "resources": self.resources},
            census=self.census,
            tasks=self.tasks,
            clock=lambda: self.now,
            wall=lambda: NOON - 1000.0 + self.now,
            pause=self.pause,
        )
        self.runner = asyncio.Runner()
        self.running = self.runner.get_loop().create_task(self.censuses.run())

    def worker(self, pid: int = 50, slot: str = "0", target: str = "web") -> WorkerSample:
        """A worker with a probe, as it was sampled."""
        (self.proc / str(pid)).mkdir(exist_ok=True)
        (self.proc / str(pid) / "stat").write_text(f"{pid} (a) S {' '.join(['0'] * 18)} 777 0\n")
        self.sockets[pid] = SOCKET
        return replace(OBSERVED, key=WorkerKey(pid, 777), slot=slot, target=target, missing={})

    async def census(self, path: Path, pid: int, *, stride: int = 1, budget_bytes: int = BUDGET_BYTES) -> Census:
        """Stand in for the engine."""
        assert path == SOCKET
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        self.asked.append((self.now, pid))
        self.strides.append((stride, budget_bytes))
        if self.error is not None:
            raise self.error
        sessions = int(self.now) if self.grows else 1000
        return Census({"shop.Session": (sessions, sessions * 48), "str": (900, 9000)}, 4, 1 << 20, 0, 0)

    async def tasks(self, _path: Path, _pid: int) -> TaskList:
        """Stand in for the other one."""
        return TaskList({POLL: Waiting(int(self.now), POLL)}, int(self.now))

    def count(self, worker: WorkerSample) -> Mapping[str, int]:
        """Stand in for what reads /proc."""
        assert worker.key is not None
        assert worker.key.start_ticks == 777
        return {f"pool_{n}": 1 for n in range(int(self.now) // 100)}

    def resources(self, worker: WorkerSample) -> Mapping[str, int]:
        """What the probe of Node has told."""
        assert worker.probe is not None
        return {"Timeout": int(self.now)}

    async def pause(self, over: asyncio.Event, seconds: float) -> None:
        """Wait until the clock has been moved so far, or there is nothing to wait for."""
        woken = asyncio.Event()
        self.sleepers.append((self.now + seconds, woken, over))
        await woken.wait()

    def let(self, seconds: float = 0.0, *found: tuple[WorkerSample, str]) -> None:
        """Let so much time pass, in which these are found again and again."""

        async def play() -> None:
            until = self.now + seconds
            while True:
                for worker, kind in found:
                    self.censuses.begin(worker, kind)
                for _ in range(30):
                    await asyncio.sleep(0)
                if self.now >= until:
                    return
                self.now = min(until, self.now + STEP)
                for sleeper in list(self.sleepers):
                    at, woken, over = sleeper
                    if self.now >= at or over.is_set():
                        woken.set()
                        self.sleepers.remove(sleeper)

        self.runner.run(play())

    def end(self) -> None:
        """No more."""
        self.running.cancel()
        self.runner.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Nothing has been found yet."""
    made = World(tmp_path)
    yield made
    made.end()


@pytest.fixture
def counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of no thread, for which nobody would wait here."""

    async def at_once(count, worker):
        return count(worker)

    monkeypatch.setattr("vitalsd.capture.growth.asyncio.to_thread", at_once)


def test_two_censuses_and_the_difference(world: World) -> None:
    """One at once, the second after the interval, over the same parts of the memory; what has grown is told."""
    worker = world.worker()
    world.let(0, (worker, "leak"))
    assert world.censuses.evidence(worker, "leak") == {
        "no_census_reason": "a second census tells, 600 s after the first"
    }
    world.let(590, (worker, "leak"))
    assert len(world.asked) == 1
    world.let(10, (worker, "leak"))
    assert world.censuses.evidence(worker, "leak") == {
        "growing_types": [{"type": "shop.Session", "grew": 600, "bytes": 28800, "now": 1600}],
        "census_seconds": 600.0,
        "census_at": "2026-07-01T12:10:00.000Z",
        "census_share": 0.25,
    }
    assert world.strides == [(1, BUDGET_BYTES), (4, AGAIN_BUDGET_BYTES)]
    assert world.censuses.taken == {"types": 2}


def test_compared_again(world: World) -> None:
    """After three and nine times as long, with the first one each time; then that is that."""
    worker = world.worker()
    world.let(7000, (worker, "leak"))
    assert [at - 1000 for at, _ in world.asked] == [0, 600, 1800, 5400]
    (row,) = world.censuses.evidence(worker, "leak")["growing_types"]
    assert row["grew"] == 5400


def test_growth_that_is_proven(world: World) -> None:
    """`growth` becomes `leak`: what was seen before is there, and nothing begins anew."""
    worker = world.worker()
    world.let(700, (worker, "growth"))
    world.let(10, (worker, "leak"))
    assert world.censuses.evidence(worker, "leak")["growing_types"]
    assert len(world.asked) == 2


def test_other_kinds(world: World) -> None:
    """What is no growth is nobody's concern here."""
    worker = world.worker()
    world.let(100, (worker, "stall"), (worker, "exhaustion"))
    assert world.asked == []
    assert world.censuses.evidence(worker, "stall") == {}


def test_coroutines(world: World) -> None:
    """Tasks by coroutine, and where one waits."""
    worker = world.worker()
    world.let(600, (worker, "task_leak"))
    (row,) = world.censuses.evidence(worker, "task_leak")["growing_coroutines"]
    assert (row["coroutine"], row["grew"], row["waits_at"]) == ("poll", 600, POLL)


@pytest.mark.usefixtures("counted_at_once")
@pytest.mark.parametrize(("kind", "name"), [("fd_leak", "kind"), ("thread_leak", "thread")])
def test_what_is_counted_from_outside(world: World, kind: str, name: str) -> None:
    """Without a probe too, and during a stall: the service pays nothing. Threads of one pool are one."""
    worker = world.worker()
    world.sockets.clear()
    world.stalling = True
    world.let(600, (worker, kind))
    evidence = world.censuses.evidence(worker, kind)
    topic = "descriptors" if kind == "fd_leak" else "threads"
    rows = evidence[f"growing_{topic}"]
    assert rows[0] == (
        {"kind": "pool_10", "grew": 1, "now": 1}
        if kind == "fd_leak"
        else {"thread": "pool_#", "grew": 6, "now": 16}
    )


@pytest.mark.usefixtures("counted_at_once")
def test_what_keeps_a_loop_of_node_going(world: World) -> None:
    """In the place of a census, which a heap of V8's has none of; without a probe nobody tells."""
    plain = world.worker()
    probed = replace(OF_NODE, key=plain.key)
    world.let(600, (probed, "leak"))
    assert world.asked == []
    evidence = world.censuses.evidence(probed, "leak")
    assert evidence["growing_resources"] == [{"resource": "Timeout", "grew": 600, "now": 1600}]
    world.sockets.clear()
    bare = replace(probed, probe=None, observed=replace(plain.observed, runtime="node"), slot="1")
    world.let(20, (bare, "leak"))
    assert "only a probe knows what grows" in str(world.censuses.evidence(bare, "leak")["no_census_reason"])


@pytest.mark.usefixtures("counted_at_once")
def test_what_may_not_be_counted(world: World) -> None:
    """A permission that lacks is a reason."""

    def refuse(_worker: WorkerSample) -> Mapping[str, int]:
        raise PermissionError(13, "Permission denied", "/proc/50/fd")

    worker = world.worker()
    world.censuses._counts = {"descriptors": refuse}
    world.let(0, (worker, "fd_leak"))
    reason = str(world.censuses.evidence(worker, "fd_leak")["no_census_reason"])
    assert reason == "descriptors of process 50 may not be read: [Errno 13] Permission denied: '/proc/50/fd'"


def test_nobody_counts(world: World) -> None:
    """Where nobody has said how to count, nothing is said."""
    worker = world.worker()
    world.censuses._counts = {}
    world.let(100, (worker, "fd_leak"))
    assert world.censuses.evidence(worker, "fd_leak") == {}


def test_accompany(world: World) -> None:
    """A finding has what is known beside its own evidence; others are as they were."""
    worker = world.worker()
    leak = Finding("leak", "web", "0", "warning", 1.0, "It leaks.", evidence={"grew": 5})
    stall = Finding("stall", "web", "0", "warning", 1.0, "It stalls.")
    (told, same) = world.censuses.accompany(worker, [leak, stall])
    assert told.evidence == {"grew": 5, "no_census_reason": "the first census is not taken yet"}
    assert same is stall
    assert told.place == leak.place


def test_never_during_a_stall(world: World) -> None:
    """It says so, and tries again when the stall is over."""
    worker = world.worker()
    world.stalling = True
    world.let(0, (worker, "leak"))
    assert world.asked == []
    assert "late" in str(world.censuses.evidence(worker, "leak")["no_census_reason"])
    world.stalling = False
    world.let(30, (worker, "leak"))
    assert len(world.asked) == 1
    assert world.censuses.refused == {"stall": 1}


def test_no_probe(world: World) -> None:
    """Why there is none is why nobody knows."""
    worker = replace(world.worker(), missing={"probe": "its folder is full"})
    world.sockets.clear()
    world.let(0, (worker, "leak"))
    assert world.censuses.evidence(worker, "leak") == {
        "no_census_reason": "only a probe knows what grows: its folder is full"
    }


@pytest.mark.parametrize("error", [NoCensus("it hung up"), RuntimeError("odd")])
def test_failures(world: World, error: Exception) -> None:
    """A census that fails is a reason; what nobody foresaw ends nothing but this."""
    worker, other = world.worker(), world.worker(60, "1")
    world.error = error
    world.let(0, (worker, "leak"))
    reason = world.censuses.evidence(worker, "leak")["no_census_reason"]
    assert reason == ("it hung up" if isinstance(error, NoCensus) else "the first census is not taken yet")
    world.error = None
    world.let(0, (other, "leak"))
    assert (1000.0, 60) in world.asked


def test_not_tried_for_ever(world: World) -> None:
    """Some tries, then an hour of rest."""
    worker = world.worker()
    world.error = NoCensus("it hung up")
    world.let(AGAIN_AFTER_REFUSAL_SECONDS - STEP, (worker, "leak"))
    assert len(world.asked) == 6  # the policy's budget refuses the others
    assert sum(world.censuses.refused.values()) == TRIES
    world.let(2 * STEP, (worker, "leak"))
    assert sum(world.censuses.refused.values()) > TRIES


def test_over(world: World) -> None:
    """What is not found any more is not looked into; found later, it begins anew."""
    worker = world.worker()
    world.let(QUIET_SECONDS - STEP, (worker, "leak"))
    world.let(2000)
    assert len(world.asked) == 1
    world.let(0, (worker, "leak"))
    assert len(world.asked) == 2


def test_found_for_hours(world: World) -> None:
    """After six hours it is looked into anew; what was known stays until more is."""
    worker = world.worker()
    world.let(AGAIN_SECONDS, (worker, "leak"))
    assert world.asked[-1] == (1000.0 + AGAIN_SECONDS, 50)
    assert len(world.asked) == 5
    assert world.censuses.evidence(worker, "leak")["growing_types"]


def test_replaced(world: World) -> None:
    """Another process in the same slot is another matter; the old one is not asked again."""
    old, new = world.worker(50), world.worker(60)
    world.let(300, (old, "leak"))
    world.let(0, (new, "leak"))
    assert world.censuses.evidence(old, "leak") == {}
    world.let(600, (new, "leak"))
    assert [pid for _, pid in world.asked] == [50, 60, 60]


def test_ended(world: World) -> None:
    """A process that has gone is not asked."""
    worker = world.worker()
    (world.proc / "50" / "stat").unlink()
    world.let(300, (worker, "leak"))
    assert world.asked == []
    assert world.censuses.refused == {"gone": 1}
    assert world.censuses.evidence(worker, "leak") == {"no_census_reason": "process 50 has ended"}


def test_three_of_a_service(world: World) -> None:
    """They leak the same: more would tell nothing new. Another service is another matter."""
    workers = [world.worker(50 + n, str(n)) for n in range(5)] + [world.worker(70, "0", "other")]
    world.let(0, *((worker, "leak") for worker in workers))
    assert sorted(pid for _, pid in world.asked) == [50, 51, 52, 70]
    assert world.most_at_once == 1
    assert world.censuses.evidence(workers[4], "leak") == {
        "no_census_reason": f"{MOST_OF_A_TARGET} other workers of this service are looked into"
    }


def test_nothing_has_grown(world: World) -> None:
    """It says so, and no longer tells what it told before."""
    worker = world.worker()
    world.let(600, (worker, "leak"))
    world.grows = False
    world.let(1200, (worker, "leak"))
    evidence = world.censuses.evidence(worker, "leak")
    assert evidence["growing_types"] == []
    assert "of nothing was there more" in str(evidence["no_census_reason"])


def test_bounded(world: World) -> None:
    """However many workers come and go."""
    for pid in range(100, 1300):
        world.censuses.begin(world.worker(pid, str(pid), str(pid)), "leak")
    assert len(world.censuses._watches) == 1024
