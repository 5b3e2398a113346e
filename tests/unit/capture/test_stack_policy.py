"""When stacks are taken, by a worker in a /proc of the test's own and a clock that only moves when it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from vitalsd.capture.pyspy import DumpError, DumpTimeout, NoDump, ThreadStack
from vitalsd.capture.pyspy_fit import PYSPY_BYTES
from vitalsd.capture.stacks import BURST, Late, Stacks, StackSampler
from vitalsd.capture.tokens import Bucket
from vitalsd.model import Frame, Stack, WorkerKey

KEY = WorkerKey(50, 777)
SOON = pytest.approx(0.01)
"""What one sample takes here."""
LATE = Late(KEY, 50, 1000.0)
ASK = (Frame("ask", "/srv/db.py", 9),)
PARSE = (Frame("parse", "/srv/c.py", 3),)


class World:
    """Workers, a clock, and a py-spy that answers what it is told."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc
        self.now = 1000.0
        self.asked: list[int] = []
        self.at_once = self.most_at_once = 0
        self.answers: list[object] = []
        self.during = lambda: None
        self.waited: list[float] = []
        self.stands_still = False
        self.runner = asyncio.Runner()
        self.own_left: int | None = None
        self.sampler = StackSampler(
            self.take,
            proc=proc,
            clock=lambda: self.now,
            pause=self.pause,
            own_left=lambda: self.own_left,
        )
        self.worker()

    def worker(
        self, pid: int = 50, *, state: str = "S", threads: int = 2, started: int = 777, inner: int = 50
    ) -> None:
        """Write what /proc tells of a process."""
        task = self.proc / str(pid) / "task" / str(pid)
        task.mkdir(parents=True, exist_ok=True)
        fields = [state, *["0"] * 16, str(threads), "0", str(started), "0"]
        (self.proc / str(pid) / "stat").write_text(f"{pid} (a ) b) {' '.join(fields)}\n")
        (task / "status").write_text(f"Name:\tx\nNSpid:\t{pid}\t{inner}\n")

    async def take(self, pid: int) -> list[ThreadStack]:
        """Stand in for py-spy."""
        self.asked.append(pid)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.during()
        self.now += 0.01
        self.at_once -= 1
        answer = self.answers.pop(0) if self.answers else ASK
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, list) else [ThreadStack(50, "MainThread", True, False, answer)]

    async def pause(self, _over: asyncio.Event, seconds: float) -> None:
        """Let the time pass at once."""
        self.waited.append(seconds)
        self.now += 0 if self.stands_still else seconds
        await asyncio.sleep(0)

    def run(self, *events: Late) -> None:
        """Tell of these, and let everything happen."""

        async def play() -> None:
            task = asyncio.ensure_future(self.sampler.run())
            for event in events or (LATE,):
                self.sampler.late(event)
            for _ in range(200):
                await asyncio.sleep(0)
            task.cancel()

        self.runner.run(play())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One worker that can be looked at."""
    world = World(tmp_path)
    yield world
    world.runner.close()


def test_five_samples_that_grow_apart(world: World) -> None:
    """At once, then after 40, 80, 160 and 320 ms; equal stacks are one, the most seen first."""
    world.answers = [PARSE, ASK, ASK]
    world.run()
    assert world.waited == [0.04, 0.08, 0.16, 0.32]
    assert world.sampler.ended(LATE) == Stacks((Stack(4, ASK), Stack(1, PARSE)), after_seconds=SOON)


def test_told_once(world: World) -> None:
    """The same event again changes nothing, and results are handed out once."""
    world.run(LATE, LATE)
    assert len(world.asked) == 5
    assert world.sampler.seen(LATE).stacks == (Stack(5, ASK),)
    assert world.sampler.ended(LATE).stacks
    assert world.sampler.ended(LATE) == world.sampler.seen(LATE) == Stacks()


def test_no_more_after_the_end(world: World) -> None:
    """A stall that ends during a sample gets neither that one nor another: that stack is innocent."""
    told = []

    def end_it() -> None:
        if len(world.asked) == 2:
            told.append(world.sampler.ended(LATE))

    world.during = end_it
    world.run()
    assert len(world.asked) == 2
    assert told == [Stacks((Stack(1, ASK),), after_seconds=SOON)]
    assert world.sampler.refusals == {"over": 1}


def test_samples_after_the_end_are_thrown_away(world: World) -> None:
    """The end is noticed late; what was sampled since it does not count."""
    world.answers = [ASK, PARSE]
    world.run()
    assert world.sampler.ended(LATE, at=1000.02).stacks == (Stack(1, ASK),)
    assert world.sampler.refusals == {"over": 4}


def test_a_stall_that_was_over_too_soon_says_so(world: World) -> None:
    """It was to have a stack and has none: neither one that is innocent nor silence."""
    world.run()
    sentence = "the stall was over before its stack was seen"
    assert world.sampler.ended(LATE, at=1000.0) == Stacks(refusal=sentence)
    assert world.sampler.refusals == {"over": 5}


def test_one_at_a_time(world: World) -> None:
    """Ten loops late at once make one py-spy after the other."""
    for pid in range(60, 70):
        world.worker(pid)
    world.run(*(Late(WorkerKey(pid, 777), pid, 1.0) for pid in range(60, 70)))
    assert world.most_at_once == 1
    assert len(world.asked) == 50


def test_budget(world: World) -> None:
    """Twenty at once and one more in 2 s for each worker; refusals are counted and told."""
    world.stands_still = True
    world.run(*(Late(KEY, 50, float(n)) for n in range(5)))
    assert len(world.asked) == BURST
    assert world.sampler.refusals == {"budget": 5}
    assert (
        world.sampler.seen(Late(KEY, 50, 4.0)).refusal == "the budget of 20 samples, one more each 2 s, is used up"
    )
    world.now += 4.0
    world.run(Late(KEY, 50, 9.0))
    assert len(world.asked) == BURST + 2


REFUSED = {
    "stopped": ({"state": "T"}, "process 50 is stopped, and left alone meanwhile"),
    "stopped by a debugger": ({"state": "t"}, "process 50 is stopped, and left alone meanwhile"),
    "ended": ({"state": "Z"}, "process 50 has ended"),
    "another process by now": ({"started": 778}, "process 50 has ended"),
    "many threads": ({"threads": 201}, "process 50 has 201 threads: beyond 200 py-spy may slow it down"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_left_alone(world: World, name: str) -> None:
    """py-spy is not started where it could do harm or nothing."""
    fields, sentence = REFUSED[name]
    world.worker(**fields)
    world.run()
    assert world.asked == []
    assert world.sampler.ended(LATE) == Stacks(refusal=sentence)
    assert sum(world.sampler.refusals.values()) == 1


def test_200_threads(world: World) -> None:
    """So many are still read."""
    world.worker(threads=200)
    world.run()
    assert len(world.asked) == 5


def test_no_room_beside_the_agent(world: World) -> None:
    """A stall is told without a stack, rather than that the agent is the one to be ended for it."""
    world.own_left = PYSPY_BYTES - 1
    world.run()
    assert world.asked == []
    assert "beside this agent" in (world.sampler.ended(LATE).refusal or "")
    assert world.sampler.refusals == {"own_memory": 1}


def test_gone(world: World) -> None:
    """A process without a folder in /proc."""
    world.run(Late(WorkerKey(4000, 1), 4000, 1.0))
    assert world.sampler.refusals == {"gone": 1}


FAILURES = {
    "forbidden": (NoDump("it needs CAP_SYS_PTRACE"), 1, "it needs CAP_SYS_PTRACE"),
    "timeout": (DumpTimeout("it hung"), 1, "it hung"),
    "failed": (DumpError("it broke"), 5, None),
    "failed ": (RuntimeError("odd"), 1, "no stack could be taken: RuntimeError: odd"),
}


@pytest.mark.parametrize("reason", FAILURES)
def test_failures(world: World, reason: str) -> None:
    """A failure is a reason; another sample is tried where that may help."""
    error, asked, sentence = FAILURES[reason]
    world.answers = [error]
    world.run()
    assert len(world.asked) == asked
    assert world.sampler.refusals == {reason.strip(): 1}
    assert world.sampler.ended(LATE).refusal == sentence


@pytest.mark.parametrize("error", [NoDump("denied"), DumpTimeout("hung")])
def test_left_alone_for_a_minute(world: World, error: DumpError) -> None:
    """Where the permission is missing, or py-spy hung, it is not tried again at each stall."""
    world.answers = [error]
    world.run()
    world.run(Late(KEY, 50, 1001.0))
    assert len(world.asked) == 1
    assert world.sampler.seen(Late(KEY, 50, 1001.0)).refusal == str(error)
    world.now += 60
    world.run(Late(KEY, 50, 1061.0))
    assert len(world.asked) == 6


def threads(*rows: tuple[int | None, str]) -> list[ThreadStack]:
    """Threads whose one frame has their name."""
    return [ThreadStack(number, name, True, False, (Frame(name, "/srv/a.py", 1),)) for number, name in rows]


MATCHING = {
    "its number": (LATE, threads((51, "other"), (50, "loop")), "loop"),
    "its number in the service's namespace": (LATE, threads((51, "other"), (7, "loop")), "loop"),
    "the only one": (LATE, threads((None, "loop")), "loop"),
    "the main thread of an old Python": (LATE, threads((None, "Thread-1"), (None, "MainThread")), "MainThread"),
    "by name in an old Python": (
        Late(KEY, 52, 1.0, "loops"),
        threads((None, "loops"), (None, "MainThread")),
        "loops",
    ),
    "two of that name": (Late(KEY, 52, 1.0, "loops"), threads((None, "loops"), (None, "loops")), None),
    "not there": (Late(KEY, 52, 1.0), threads((51, "a"), (53, "b")), None),
}


@pytest.mark.parametrize("name", MATCHING)
def test_the_loops_thread(world: World, name: str) -> None:
    """The stack is that of the loop's thread, or there is none."""
    event, answer, function = MATCHING[name]
    world.worker(inner=7 if "namespace" in name else 50)
    world.answers = [answer] * 5
    world.run(event)
    seen = world.sampler.ended(event)
    assert [stack.frames[0].function for stack in seen.stacks] == ([function] if function else [])
    assert (seen.refusal is None) == (function is not None)


def test_who_holds_the_interpreter_lock(world: World) -> None:
    """Another thread that holds it is told beside the loop's own."""
    loop = ThreadStack(50, "MainThread", False, False, PARSE)
    world.answers = [[loop, ThreadStack(51, "pool", True, True, ASK)]] * 3 + [
        [ThreadStack(50, "MainThread", True, True, PARSE), ThreadStack(51, "pool", False, False, ASK)]
    ] * 2
    world.run()
    assert world.sampler.ended(LATE) == Stacks((Stack(5, PARSE),), (Stack(3, ASK),), after_seconds=SOON)


def test_bounded(world: World) -> None:
    """Stalls that nobody asks for are forgotten at last."""
    world.run(*(Late(KEY, 50, float(n)) for n in range(500)))
    assert len(world.sampler._watches) <= 64


def test_bucket() -> None:
    """A clock that steps back fills nothing; time fills up to the burst."""
    bucket = Bucket(2, 2.0, 100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]
    assert not bucket.take(50.0)
    assert not bucket.take(101.9)
    assert bucket.take(102.0)
    assert [bucket.take(999.0) for _ in range(3)] == [True, True, False]
