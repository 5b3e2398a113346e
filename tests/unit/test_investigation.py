"""What becomes of a stall between the observer's first word and the book."""

import asyncio
import os
import time

import pytest
import structlog
from msgspec.structs import replace
from support.views import BLOCKED, MAIN_LOOP, OBSERVED, PROBE, WATCHED
from support.waiting import wait_for

from vitalsd.capture.stacks import StackSampler
from vitalsd.detect.growth.book import GrowthBook
from vitalsd.detect.growth.plan import plan_of
from vitalsd.detect.registry import nothing
from vitalsd.incidents.book import Book
from vitalsd.investigation.case import Case
from vitalsd.investigation.investigation import Investigation
from vitalsd.model import (
    Finding,
    Frame,
    Pulse,
    Stack,
    StallEvidence,
    StallInProgress,
    TargetSnapshot,
    ThreadEvidence,
    WorkerKey,
)
from vitalsd.settings.model import Settings, Stall, Workers
from vitalsd.sources.observer.events import Ended, Late
from vitalsd.sources.observer.observer import Observer
from vitalsd.times import unix

ASLEEP = ThreadEvidence(seconds=0.3, looks=10, doing={"sleep": 10}, states={"S": 10}, cpu_seconds=0.0)


class World:
    """An investigation of one worker without a probe, whose observer looks at nobody and is told what to say."""

    def __init__(self, folder):
        self.worker = replace(OBSERVED, target="old", slot="0")
        self.book = Book(lambda: folder, "127.0.0.1:1")
        self.observer = Observer(lambda _event: None)
        self.stacks = StackSampler(proc=folder / "proc")
        self.growth = GrowthBook(plan_of(Settings()))
        self.investigation = Investigation(
            self.observer, self.stacks, self.book, self.reread, self.growth, Settings()
        )

    def reread(self, target, slot):
        """The worker, as `State` has it."""
        return self.worker if (target, slot) == (self.worker.target, self.worker.slot) else None

    def look(self):
        """One round of sampling."""
        self.worker = replace(self.worker, at=time.time())
        self.investigation.look([TargetSnapshot(self.worker.target, True, (self.worker,))])

    def rename(self, target, slot="0"):
        """What a reload makes of it."""
        self.worker = replace(self.worker, target=target, slot=slot)

    def late(self, seconds=0.3, probed=False):
        """The loop is late."""
        self.since = time.monotonic() - seconds
        self.investigation.hear(Late(self.worker.key, "main", self.since, 0.1, probed))

    def back(self, seconds=0.3, probed=False, **more):
        """And comes back."""
        evidence = StallEvidence("main", self.since, seconds, False, runtime="python", thread=ASLEEP, **more)
        self.investigation.hear(Ended(self.worker.key, evidence, probed))


@pytest.fixture
def world(tmp_path):
    """The worker as it is known after a first round."""
    world = World(tmp_path)
    world.look()
    return world


class Broken:
    """A detector that cannot."""

    kind = "broken"

    def judge(self, _seen):
        """Nothing to be had."""
        raise ValueError("no")

    is_quiet = judge


class Stirred:
    """A detector of workers that looks closer each time, and finds nothing."""

    kind = "stirred"

    def is_quiet(self, _seen):
        """Not at a glance."""
        return False

    def judge(self, seen):
        """Nothing after all."""
        return nothing(self.kind, seen, "quiet", "nothing")


def test_what_stirs(world):
    """Nothing in calm; a loop that is late, until the round after; a detector for as long as it looks closer."""
    world.look()
    assert not world.investigation.stirs

    async def late():
        world.late()

    asyncio.run(late())
    assert world.investigation.stirs
    world.look()
    assert not world.investigation.stirs
    world.investigation._detectors = (*world.investigation._detectors, Stirred())
    world.look()
    assert world.investigation.stirs


def test_what_is_found_in_a_target_stirs(world, monkeypatch):
    """Not that a detector looks closer: that of pools does in each round, and takes long windows."""
    monkeypatch.setattr("vitalsd.investigation.investigation.find_in_target", lambda *_: [])
    world.look()
    assert not world.investigation.stirs
    down = Finding("worker_down", "old", "0", "warning", time.time(), "It is down.")
    monkeypatch.setattr("vitalsd.investigation.investigation.find_in_target", lambda *_: [down])
    world.look()
    assert world.investigation.stirs


@pytest.mark.parametrize("of", ["_detectors", "_target_detectors"])
def test_a_detector_that_fails_is_logged_once(world, of):
    """Of workers and of targets alike; its state says so, and the others are asked."""
    detectors = getattr(world.investigation, of)
    setattr(world.investigation, of, (Broken(), *detectors))
    with structlog.testing.capture_logs() as logs:
        world.look()
        world.look()
        rules = world.investigation.rules()
    told = [(each["event"], each["kind"], each["target"]) for each in logs if each["log_level"] == "error"]
    assert told == [("detector_failed", "broken", "old")]
    assert {rule.state for rule in rules if rule.rule == "broken"} == {"unavailable"}
    assert {detector.kind for detector in detectors} <= {rule.rule for rule in rules}


def test_samples_of_a_clock_that_was_ahead_are_let_go(world):
    """Detectors look at the last minute, which those would never leave."""
    case = world.investigation._cases[world.worker.target, world.worker.slot]
    now = time.time()
    for at in (now + 3600, now + 3610, now + 3620, now, now + 10):
        world.worker = replace(world.worker, at=at)
        case.take(world.worker, at)
    assert [sample.at for sample in case.samples][-2:] == [now, now + 10]
    assert max(sample.at for sample in case.samples) == now + 10


def told(world):
    """Targets of the incidents, after another round."""

    async def run():
        world.late()
        world.back()
        world.look()

    asyncio.run(run())
    return [incident.target for incident in world.book.incidents()]


def test_a_stall_of_a_worker_without_a_probe_is_found(world):
    """It is counted, and an incident of its target."""
    assert told(world) == ["old"]
    assert sum(count for count, _ in world.book.counts.of(world.worker.key).values()) == 1


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_target_that_is_renamed_stalls_on(world, rounds):
    """The worker is the same under its new name, in the round of the reload and in those after it."""
    world.rename("new")
    for _ in range(rounds):
        world.look()
    assert told(world) == ["new"]


def test_a_worker_that_takes_over_the_slot_of_another_keeps_its_own_stalls(world):
    """Two that change places are both still known."""
    first = world.worker
    second = replace(first, slot="1", key=replace(first.key, pid=79))
    for one, other in ((first, second), (second, first)):
        workers = (replace(one, slot="0"), replace(other, slot="1"))
        world.investigation.look([TargetSnapshot("old", True, workers)])
    world.worker = replace(second, slot="0")
    assert told(world) == ["old"]
    assert world.book.incidents()[0].worker == "0"


async def refused(world, sampling):
    """Until the sampler has tried what it was told of."""
    await asyncio.to_thread(wait_for, "a refusal", lambda: bool(world.stacks.refusals))
    sampling.cancel()


def test_why_there_is_no_stack_is_told_by_the_incident(world):
    """Not only that there is none: somebody on call is to know which permission it takes."""

    async def run():
        sampling = asyncio.create_task(world.stacks.run())
        world.late()
        await refused(world, sampling)
        world.back()
        world.look()

    asyncio.run(run())
    (incident,) = world.book.incidents()
    assert incident.evidence["stacks"] == []
    assert incident.evidence["no_stack_reason"] == f"process {world.worker.key.pid} has ended"


def test_why_there_is_no_stack_of_a_stall_that_a_probe_tells(world):
    """Native code held the interpreter, and from outside it was not seen either."""
    stall = replace(MAIN_LOOP.recent_stalls[0], number=4, stacks=())
    quiet = replace(PROBE, loops=(replace(MAIN_LOOP, current_stall=None),))

    async def run():
        sampling = asyncio.create_task(world.stacks.run())
        world.worker = replace(world.worker, probe=quiet)
        world.look()
        since = time.monotonic() - 0.3
        in_progress = StallInProgress(since=since, seconds=0.3, stacks=())
        world.worker = replace(
            world.worker,
            probe=replace(quiet, loops=(replace(MAIN_LOOP, current_stall=in_progress, late=in_progress),)),
        )
        world.investigation.hear(Late(world.worker.key, "main", since, 0.1, True))
        world.since = since
        await refused(world, sampling)
        world.back(probed=True)
        told = replace(stall, since=since, ended_at=time.time())
        world.worker = replace(
            world.worker,
            probe=replace(quiet, loops=(replace(MAIN_LOOP, current_stall=None, recent_stalls=(told,)),)),
        )
        world.look()

    asyncio.run(run())
    (incident,) = world.book.incidents()
    assert incident.evidence["no_stack_reason"] == f"process {world.worker.key.pid} has ended"


def test_with_stacks_there_is_no_reason(world):
    """One sample that was refused beside others that were not is nobody's concern."""
    world.since = time.monotonic() - 0.3

    async def run():
        world.back(stacks=(BLOCKED,))
        world.look()

    asyncio.run(run())
    (incident,) = world.book.incidents()
    assert incident.evidence["stacks"]
    assert "no_stack_reason" not in incident.evidence


@pytest.mark.parametrize(("probe_after", "seen_by"), [(0.25, "py-spy"), (0.08, "the probe")])
def test_whoever_had_a_stack_first(world, probe_after, seen_by):
    """The probe of a throttled process gets to run late, and what it sees then is told by nobody."""
    outside = (Stack(1, (Frame("py-spy", "/srv/app.py", 1),)),)
    inside = (Stack(1, (Frame("the probe", "/srv/app.py", 1),)),)
    since = time.monotonic() - 0.3
    stall = replace(
        MAIN_LOOP.recent_stalls[0],
        number=4,
        since=since,
        ended_at=time.time(),
        stacks=inside,
        stack_after_seconds=probe_after,
    )
    evidence = StallEvidence("main", since, 0.3, False, stacks=outside, stack_after_seconds=0.1)
    case = world.investigation._cases[world.worker.target, world.worker.slot]
    case.seen["main", since] = evidence
    world.investigation._stalls.judge_probed(case, world.worker, MAIN_LOOP, stall, time.time())
    ((judged, _, _),) = case.told
    assert judged.stacks[0].frames[0].function == seen_by
    assert judged.stack_after_seconds == min(0.1, probe_after)


@pytest.mark.parametrize(("own", "cause"), [(False, "host_wide"), (True, "unknown")])
def test_the_agent_is_no_witness_of_its_own_stalls(world, own, cause):
    """That it could not look blames the host where somebody else stalled; where it stalled itself, nobody."""
    since = time.monotonic() - 1.3
    stall = replace(MAIN_LOOP.recent_stalls[0], since=since, duration_seconds=1.3, cpu_seconds=0.0, stacks=())
    worker = replace(world.worker, key=WorkerKey(os.getpid() if own else 1, 5))
    case = Case.of(worker.key, time.time())
    world.observer._late.append((since + 0.01, since + 1.29))
    world.investigation._stalls.judge_probed(case, worker, MAIN_LOOP, stall, time.time())
    ((_, verdict, _),) = case.told
    assert verdict.cause == cause
    assert verdict.reason.startswith("the agent itself ")


ALL_ASLEEP = {"sleep": 100}
THIS_AND_THAT = {"sleep": 45, "running": 45, "futex": 10}


def lasts(world, monkeypatch, seconds, doing):
    """The loop is late for so long by now, and this is what was seen of its thread; judged in another round."""
    cpu_seconds = seconds * doing.get("running", 0) / 100
    seen = ThreadEvidence(seconds, looks=100, doing=doing, states={"S": 100}, cpu_seconds=cpu_seconds)
    evidence = StallEvidence("main", world.since, seconds, True, runtime="python", thread=seen, stacks=(BLOCKED,))
    monkeypatch.setattr(world.observer, "in_progress", lambda _key: (evidence,))
    world.look()
    return evidence


def over(world, monkeypatch, evidence, **changes):
    """It comes back."""
    monkeypatch.setattr(world.observer, "in_progress", lambda _key: ())

    async def run():
        world.investigation.hear(Ended(world.worker.key, replace(evidence, in_progress=False, **changes), False))
        world.look()

    asyncio.run(run())


def test_a_stall_stays_what_it_was_told_to_be(world, monkeypatch):
    """One incident from its beginning to its end, whatever its looks say by then, and what is told of it once."""
    world.since = time.monotonic() - 1.5
    lasts(world, monkeypatch, 1.5, ALL_ASLEEP)
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + 0.05)
    evidence = lasts(world, monkeypatch, 19.0, THIS_AND_THAT)
    over(world, monkeypatch, evidence, seconds=20.0)
    (incident,) = world.book.incidents()
    assert (incident.cause, incident.count) == ("blocking_call", 1)
    (stall,) = incident.evidence["stalls"]
    assert stall["duration_seconds"] == 20.0
    assert "of all of it: no test of the causes fits" in incident.evidence["reason"]
    assert list(world.book.counts.of(world.worker.key)) == ["blocking_call"]
    world.since = time.monotonic() - 1.5
    over(world, monkeypatch, evidence, since=world.since, seconds=1.5)
    assert {each.cause for each in world.book.incidents()} == {"blocking_call", "unknown"}


def test_a_stall_of_which_more_may_be_known_waits_a_little(world, monkeypatch):
    """To say nothing of the cause would be an incident of its own; after five seconds it beats silence."""
    world.since = time.monotonic() - 1.5
    lasts(world, monkeypatch, 1.5, THIS_AND_THAT)
    assert world.book.incidents() == ()
    evidence = lasts(world, monkeypatch, 4.0, ALL_ASLEEP)
    over(world, monkeypatch, evidence)
    assert [each.cause for each in world.book.incidents()] == ["blocking_call"]
    world.since = time.monotonic() - 6.0
    lasts(world, monkeypatch, 6.0, THIS_AND_THAT)
    assert [each.cause for each in world.book.incidents()] == ["unknown", "blocking_call"]


def stopped(world, monkeypatch, seconds, wall):
    """Another look at life, so long after it was stopped, by this clock; the incidents there are."""
    monkeypatch.setattr(time, "time", lambda: wall)
    pulse = Pulse(wall, "T", wall - seconds)
    world.investigation.look_for_life(lambda _key: pulse, lambda _key: True)
    return [incident for incident in world.book.incidents() if incident.kind == "worker_hung"]


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_clock_that_is_set_in_a_silence(world, monkeypatch, step):
    """The same silence goes on, as long as it is, and its end says how long it was."""
    wall = time.time()
    assert stopped(world, monkeypatch, 1.0, wall) == []
    assert stopped(world, monkeypatch, 1.5, wall + step) == []
    assert len(stopped(world, monkeypatch, 3.0, wall + 2)) == 1
    (hung,) = stopped(world, monkeypatch, 4.0, wall + step + 3)
    assert hung.evidence["silent_seconds"] == 4.0
    assert unix(hung.evidence["since"]) == pytest.approx(wall + step - 1, abs=0.1)
    monkeypatch.setattr(time, "time", lambda: wall - step)
    pulse = Pulse(wall - step, "S", wall - step)
    world.investigation.look_for_life(lambda _key: pulse, lambda _key: True)
    (hung,) = (incident for incident in world.book.incidents() if incident.kind == "worker_hung")
    assert hung.state == "resolved"
    assert hung.timeline[-1]["text"] == "it came back after 4.00 s"


def test_what_was_learned_outlives_a_clock_that_is_set(world, monkeypatch):
    """A long request is none the less usual two days ahead."""
    world.investigation.silent.silences.add("old", time.monotonic(), 12.0)
    wall = time.time()
    for step in (2 * 86_400.0, -2 * 86_400.0):
        monkeypatch.setattr(time, "time", lambda step=step: wall + step)
        target = TargetSnapshot("old", True, (world.worker,))
        assert world.investigation._seen_target(target, wall + step).came_back_seconds == 12.0


def failing(world, errors, pid=77, age=3600.0):
    """A worker whose probe has counted so many errors."""
    now = time.time()
    worker = replace(
        WATCHED,
        key=replace(WATCHED.key, pid=pid),
        at=now,
        process=replace(WATCHED.process, started_at=now - age),
        probe=replace(PROBE, loops=(), unhandled_errors=(errors, 0, 0, 0, 0)),
    )
    world.investigation.look([TargetSnapshot("shop", True, (worker,))])


def known_errors(world):
    """How many errors are known of the slot's past and its last minutes."""
    recent = world.investigation._pasts["shop", "0"].failures.recent(0)
    return recent.count if recent is not None else 0


@pytest.mark.parametrize("gone", [False, True])
def test_a_worker_that_replaces_another_has_its_past(world, gone):
    """The slot's, also while nobody sits in it; a slot that is gone has none."""
    for errors in (1, 5):
        failing(world, errors)
    empty = replace(WATCHED, key=None, up=False, process=None, probe=None)
    world.investigation.look([TargetSnapshot("shop", True, () if gone else (empty,))])
    failing(world, 2, pid=78)
    assert known_errors(world) == (0 if gone else 4)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [(Settings(stall=Stall(critical=3.0)), 4), (Settings(workers=Workers(errors_window=60.0)), 0)],
    ids=["another bound", "another window"],
)
def test_a_reload_keeps_the_past_as_long_as_it_reaches_as_far(world, settings, kept):
    """Only other windows begin anew."""
    for errors in (1, 5):
        failing(world, errors)
    world.investigation.reconfigure(settings)
    failing(world, 5)
    assert known_errors(world) == kept


def test_what_is_found_of_the_past_is_an_incident(world):
    """Through the whole of it: what a probe counts, in many samples, to one incident that says so."""
    world.investigation.reconfigure(Settings(workers=Workers(errors_window=2.0, errors_least=3, settle=0.0)))
    errors = 0

    def look():
        nonlocal errors
        errors += 30
        failing(world, errors)
        return any(incident.kind == "error_surge" for incident in world.book.incidents())

    wait_for("an incident", look)
    rules = [rule for rule in world.investigation.rules() if rule.rule == "error_surge"]
    assert [rule.state for rule in rules] == ["fired"]


def test_what_grows_is_told_by_the_incident(world, monkeypatch):
    """A finding that something grows has a census from the next round on, or why there is none."""
    leak = Finding("leak", "old", "0", "warning", time.time(), "It leaks.")
    monkeypatch.setattr("vitalsd.investigation.investigation.find_all", lambda *_: [leak])

    async def run():
        censuses = asyncio.create_task(world.investigation.censuses.run())
        for _ in range(2):
            world.look()
            for _ in range(20):
                await asyncio.sleep(0)
        censuses.cancel()

    world.worker = replace(world.worker, missing={"probe": "its folder is full"})
    asyncio.run(run())
    (incident,) = world.book.incidents()
    assert incident.evidence["no_census_reason"] == "only a probe knows what grows: its folder is full"


def test_a_stall_whose_copy_on_a_disk_had_another_name() -> None:
    """It is the stretch of that loop with which it shares its time; each is taken once, and no other."""
    case = Case.of(WorkerKey(10, 1), 0.0)
    seen = StallEvidence("main", 100.0, 5.0, False)
    case.note_seen(seen)
    assert case.take_seen("loop-1", 100.1, 4.9) is None
    assert case.take_seen("main", 104.0, 5.0) is None
    assert case.take_seen("main", 100.1, 4.9) is seen
    assert case.take_seen("main", 100.0, 5.0) is None
    case.note_seen(seen)
    assert case.take_seen("main", 100.0, 1.0) is seen


def test_a_stall_that_was_seen_in_two_parts() -> None:
    """Of a process that was stopped, what was seen meanwhile tells why; both parts are taken for the one stall."""
    case = Case.of(WorkerKey(10, 1), 0.0)
    stopped = StallEvidence("main", 100.05, 0.4, False, thread=ThreadEvidence(0.4, 40, {"unknown": 40}, {"T": 40}))
    after = StallEvidence("main", 100.0, 0.48, False, thread=ThreadEvidence(0.01, 2, {"loop": 2}, {"S": 2}))
    case.note_seen(stopped)
    case.note_seen(after)
    assert case.take_seen("main", 100.0, 0.48) is stopped
    assert case.take_seen("main", 100.0, 0.48) is None


def probed(world, *numbers):
    """The worker has a probe, whose ring holds these stalls of all that it has counted."""
    one, now = MAIN_LOOP.recent_stalls[0], time.time()
    stalls = tuple(
        replace(one, number=number, since=one.since + number, ended_at=now - 30 + number) for number in numbers
    )
    loop = replace(MAIN_LOOP, stalls=max(numbers), current_stall=None, recent_stalls=stalls)
    world.worker = replace(WATCHED, target="old", slot="0", probe=replace(PROBE, loops=(loop,)))


def counted(world):
    """How many stalls of the worker's incidents tell of."""
    return sum(incident.count for incident in world.book.incidents() if incident.kind == "stall")


def test_stalls_of_while_no_agent_was_there_are_told_by_the_next(tmp_path):
    """The probe has them in its ring; those that the agent before has judged are not told again."""
    before = World(tmp_path)
    before.book.start()
    probed(before, 1, 2)
    before.look()
    assert counted(before) == 0, "what was before any agent is of the past"
    probed(before, 1, 2, 3)
    before.look()
    before.book.close()
    after = World(tmp_path)
    after.book.start()
    probed(after, 1, 2, 3, 4, 5)
    after.look()
    assert counted(after) == 3
    after.look()
    assert counted(after) == 3
    after.book.close()


@pytest.mark.parametrize("content", [b"", bytes(100), b"something else" * 1000])
def test_stalls_of_the_last_hour_are_told_again_where_the_file_of_an_earlier_agent_is_damaged(tmp_path, content):
    """Nobody knows what it had told: told twice is better than not at all."""
    before = World(tmp_path)
    before.book.start()
    probed(before, 1)
    before.look()
    before.book.close()
    (path,) = tmp_path.glob("incidents-*.db")
    path.write_bytes(content)
    after = World(tmp_path)
    after.book.start()
    probed(after, 1, 2, 3)
    after.look()
    assert counted(after) == 3
    assert sum(count for count, _ in after.book.counts.of(after.worker.key).values()) == 3
    after.book.close()
