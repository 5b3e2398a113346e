"""The observer without its thread: who is looked at when, what is told, and what may go wrong with a target."""

import math
import os
import struct
import time
from pathlib import Path

import pytest

from vitalsd.model import STAND_INS, WorkerKey
from vitalsd.probe.python import layout
from vitalsd.probe.python.segment import Segment
from vitalsd.sources.interpreter.interpreter import NO_CPYTHON
from vitalsd.sources.observer import Ended, Followed, Late
from vitalsd.sources.observer.probed import Probed
from vitalsd.sources.observer.seek import NO_LOOP
from vitalsd.sources.uv.turns import NOTHING_EXPORTED

from .conftest import EPOLL, OWN_FD, RUNNING, SLEEP

FUTEX = "202 0x7f00 0x80"


@pytest.fixture
def found(tree, watching):
    """An observer that has found the loop of one idle service."""
    watch = watching()
    watch.key = tree.service()
    watch.follow(watch.key)
    watch.until(1.0)
    assert watch.observer.observed(watch.key) is not None
    return watch


def stall(watch, tree, syscall, seconds, **more):
    """The service does this for so long, then waits for events again."""
    tree.thread(10, syscall=syscall, slices=6, **more)
    watch.until(seconds)
    tree.thread(10, slices=7, cpu=1_000_000_000, waited=more.get("waited", 0))
    watch.until(0.1)


def test_late_by_itself(tree, watching):
    """What the observer was late by within a time is known afterwards: nobody looked then."""
    key = tree.service()
    made = watching()
    made.follow(key)
    made.ticks(3)
    due = made.now
    made.now += 2.0
    made.observer.tick()
    late = made.observer.late_seconds
    assert late(due, made.now) == pytest.approx(2.0, abs=0.06)
    assert late(due + 0.5, due + 1.25) == pytest.approx(0.75)
    assert late(due - 10.0, due - 9.0) <= 0
    assert late(made.now, made.now + 1.0) <= 0


def test_an_agent_that_was_at_work_is_late_of_itself(tree, watching):
    """That its own thread had to wait for the others of the agent says nothing of the host."""
    key = tree.service()
    made = watching()
    made.follow(key)
    made.ticks(3)
    due = made.now
    made.now, made.own = made.now + 2.0, made.own + 1.9
    made.observer.tick()
    assert made.observer.late_seconds(due, made.now) == pytest.approx(0.1, abs=0.06)


def test_an_agent_that_was_stopped_is_no_witness_of_its_host(tree, watching):
    """It was late because somebody stopped it, which says nothing of anybody else."""
    key = tree.service()
    made = watching()
    made.follow(key)
    made.ticks(3)
    due = made.now
    made.now += 2.0
    made.observer.tick()
    assert not made.observer.stood_still(due, made.now)
    made.observer.went_on()
    assert made.observer.late_seconds(due, made.now) == 0.0
    assert made.observer.stood_still(due + 0.5, due + 0.75)
    assert not made.observer.stood_still(due - 10.0, due - 9.0)


def test_stall(found, tree):
    """It is told once when it is late and once when it has ended, under one name; evidence is there between."""
    tree.thread(10, syscall=SLEEP, slices=6)
    found.until(0.15)
    (late,) = found.events
    (so_far,) = found.observer.in_progress(found.key)
    assert (late.since, late.loop, late.probed, so_far.in_progress) == (so_far.since, "main", False, True)
    assert found.observer.observed(found.key).current_stall.since == late.since
    assert found.observer.late(found.key) == (so_far,)
    found.until(0.35)
    tree.thread(10, slices=7)
    found.until(0.1)
    assert [type(event) for event in found.events] == [Late, Ended]
    evidence = found.events[1].evidence
    assert evidence.since == late.since
    assert evidence.seconds == pytest.approx(0.5, abs=0.03)
    assert set(evidence.thread.doing) == {"sleep"}
    assert found.observer.in_progress(found.key) == ()
    assert found.observer.observed(found.key).stalls == 1


def test_another_threshold(found, tree):
    """A reload changes it for the next stretch of a loop that is watched already, and for its books."""
    found.observer.reconfigure(0.5)
    stall(found, tree, SLEEP, 0.3)
    tree.thread(10, syscall=SLEEP, slices=8)
    found.until(0.3)
    assert found.observer.in_progress(found.key) == ()
    assert found.observer.observed(found.key).current_stall is None
    found.until(0.4)
    assert len(found.observer.in_progress(found.key)) == 1
    tree.thread(10, slices=9)
    found.until(0.1)
    assert [type(event) for event in found.events] == [Late, Late, Ended]
    assert found.observer.observed(found.key).stalls == 1
    found.observer.reconfigure(0.2)
    stall(found, tree, SLEEP, 0.3)
    assert found.observer.observed(found.key).stalls == 2


def test_a_stretch_keeps_the_threshold_it_began_with(found, tree):
    """So what was told as a stall in progress is told and counted as one when it is over."""
    tree.thread(10, syscall=SLEEP, slices=6)
    found.until(0.2)
    assert found.observer.observed(found.key).current_stall is not None
    found.observer.reconfigure(0.5)
    found.until(0.1)
    assert found.observer.observed(found.key).current_stall is not None
    tree.thread(10, slices=7)
    found.until(0.1)
    assert [type(event) for event in found.events] == [Late, Ended]
    assert found.observer.observed(found.key).stalls == 1


def test_pace(found, tree):
    """Twenty looks a second at an idle loop, two hundred at a late one, twenty again after two seconds."""

    def looks(seconds):
        paces = []
        end = found.now + seconds - 1e-6
        while found.now < end:
            before = found.now
            found.ticks()
            paces.append(found.now - before)
        return paces

    assert all(pace == pytest.approx(0.05) for pace in looks(1.0))
    tree.thread(10, syscall=SLEEP, slices=6)
    found.until(0.15)
    assert all(pace <= 0.0051 for pace in looks(1.0))
    looks(1.2)
    assert looks(1.0)[1:] == pytest.approx([0.05] * 19)


def test_surroundings(found, tree):
    """What the host and the other threads did meanwhile is in the evidence, and how late the agent was."""
    tree.thread(10, 11, syscall=FUTEX, cpu=0)
    tree.thread(10, syscall=FUTEX, slices=6)
    found.until(0.1)
    tree.pressure(150_000, 30_000)
    tree.thread(10, 11, syscall=RUNNING, cpu=270_000_000)
    found.until(0.2)
    found.ticks(late=0.04)
    tree.thread(10, slices=7)
    found.until(0.1)
    evidence = found.events[-1].evidence
    window = 0.3
    assert evidence.host.cpu_pressure_share == pytest.approx(0.15 / window, rel=0.2)
    assert evidence.host.memory_pressure_share == pytest.approx(0.03 / window, rel=0.2)
    assert evidence.thread.sibling_cpu_share == pytest.approx(0.27 / window, rel=0.2)
    assert evidence.host.agent_late_seconds == pytest.approx(0.04)


def test_saturated(found, tree):
    """All computation is told of, but is no stall before somebody says so."""
    stall(found, tree, RUNNING, 0.5, state="R", cpu=30_000_000)
    late, ended = found.events
    assert found.observer.observed(found.key).stalls == 0
    found.observer.settle(found.key, late.since, True)
    assert found.observer.observed(found.key).stalls == 1
    assert ended.evidence.thread.doing.keys() == {"running"}


def test_saturated_all_the_time(found, tree):
    """What was settled as none is not told again, and is no evidence."""
    tree.thread(10, syscall=RUNNING, slices=6, state="R")
    found.until(0.3)
    assert len(found.observer.in_progress(found.key)) == 1
    assert found.observer.late(found.key) == ()
    found.observer.settle(found.key, found.events[0].since, False)
    assert found.observer.in_progress(found.key) == ()
    found.until(15.0)
    tree.thread(10, slices=7)
    found.until(0.2)
    assert len(found.events) == 1
    assert found.observer.observed(found.key).stalls == 0


def test_stopped(found, tree):
    """A stopped service is late from then on; one that is continued is idle again."""
    stall(found, tree, EPOLL, 0.4, state="T")
    assert found.events[-1].evidence.thread.states.keys() == {"T"}
    assert found.events[-1].evidence.seconds == pytest.approx(0.4, abs=0.05)


def test_synchronous_worker(tree, watching):
    """No thread waits in an epoll: it is said, and tried again ten seconds later."""
    watch = watching()
    key = tree.service()
    tree.thread(10, syscall=SLEEP)
    watch.follow(key)
    watch.until(2.0)
    assert watch.observer.missing(key) == NO_LOOP
    assert watch.observer.observed(key) is None
    tree.thread(10)
    watch.until(9.0)
    assert watch.observer.observed(key) is None
    watch.until(3.0)
    assert (watch.observer.missing(key), watch.observer.observed(key) is None) == (None, False)


@pytest.mark.parametrize(
    ("runtime", "reason"), [("python3.15", NO_CPYTHON), ("node", NOTHING_EXPORTED), ("ruby", None)]
)
def test_turns_that_cannot_be_read(tree, watching, runtime, reason):
    """Where a Python's or Node's memory tells nothing it is said, once a stall was looked at."""
    watch = watching()
    key = tree.service()
    (tree.root / "10/exe").symlink_to(f"/usr/bin/{runtime}")
    (tree.root / "10/mem").write_bytes(b"")
    (tree.root / "10/auxv").write_bytes(b"")
    (tree.root / "10/maps").write_text("")
    watch.follow(key)
    watch.until(1.0)
    assert watch.observer.missing_turns(key) is None
    tree.thread(10, syscall=SLEEP, slices=6)
    watch.until(0.3)
    why = watch.observer.missing_turns(key)
    assert why is None if reason is None else (why or "").endswith(reason)


def test_other_thread(tree, watching):
    """A loop in another thread is found where the main one has none, and left when that gets one."""
    watch = watching()
    key = tree.service()
    tree.thread(10, syscall=FUTEX)
    tree.thread(10, 12)
    watch.follow(key)
    watch.until(3.0)
    assert watch.observer.observed(key).thread_id == 12
    tree.thread(10)
    watch.until(11.0)
    books = watch.observer.observed(key)
    assert books.thread_id == 10
    assert books.idle_seconds > 11.0


def test_no_rights(tree, watching, monkeypatch):
    """Without ptrace rights the sentence says who may read what."""
    refused = f"{tree.root}/10/task/10/syscall"
    real = open

    def refusing(path, *arguments, **options):
        if str(path) == refused:
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", refusing)
    watch = watching()
    key = tree.service()
    watch.follow(key)
    watch.until(1.0)
    sentence = watch.observer.missing(key)
    assert f"{tree.root}/10/syscall may be read by uid {os.getuid()}" in sentence
    assert "kernel.yama.ptrace_scope" in sentence
    assert "CAP_SYS_PTRACE" in sentence


def test_ended_in_a_stall(found, tree):
    """A process that dies in a stall has had it, up to the last look."""
    tree.thread(10, syscall=SLEEP, slices=6)
    found.until(0.3)
    (tree.root / "10/task/10/syscall").write_text("")
    tree.remove(10)
    found.until(0.1)
    assert [type(event) for event in found.events] == [Late, Ended]
    found.until(5.0)
    assert len(found.events) == 2


@pytest.mark.parametrize("state", ["Z", "X"])
def test_zombie(found, tree, state):
    """What has ended and was not waited for is no stall, however long it stays so."""
    tree.add(10, start=1000, state=state)
    tree.thread(10, syscall="-1 0x0 0x0", slices=6, state=state)
    found.until(20.0)
    assert found.events == []


def test_pid_of_another(found, tree):
    """A pid that is used again is another process: nothing it does is this worker's."""
    (tree.root / "10/task/10/syscall").write_text("")
    tree.service(start=2000)
    tree.thread(10, syscall=SLEEP, slices=6)
    before = found.observer.observed(found.key)
    found.until(20.0)
    assert found.events == []
    assert found.observer.observed(found.key) == before


def test_pid_of_another_without_room(tree, watching):
    """The same where no descriptor may be kept open to make sure of it."""
    watch = watching(descriptors=0)
    key = tree.service()
    watch.follow(key)
    watch.until(1.0)
    tree.service(start=2000)
    tree.thread(10, syscall=SLEEP, slices=6)
    watch.until(20.0)
    assert watch.events == []


def test_loop_is_closed(found, tree):
    """A service that shuts down joins its threads for as long as it likes: its loop is closed, and not late."""
    (tree.root / f"10/fd/{OWN_FD}").unlink()
    tree.thread(10, syscall=FUTEX, slices=6)
    found.until(20.0)
    assert found.events == []
    assert found.observer.missing(found.key) == NO_LOOP
    tree.thread(10, syscall=EPOLL.replace("0x6", "0x9"), slices=7)
    found.until(20.0)
    assert found.observer.missing(found.key) is None
    assert found.observer.observed(found.key).stalls == 0


def test_books_stay(found, tree, segment):
    """They last while the worker is followed, with a probe in between or without; then they are gone."""
    stall(found, tree, SLEEP, 0.5)
    before = found.observer.observed(found.key)
    found.follow(found.key, segment=segment.file)
    found.until(1.0)
    assert found.observer.observed(found.key) is None
    found.follow(found.key)
    found.until(1.0)
    after = found.observer.observed(found.key)
    assert (after.stalls, after.idle_seconds >= before.idle_seconds) == (1, True)
    found.follow()
    found.until(0.5)
    assert found.observer.observed(found.key) is None


def test_one_that_fails(found, tree, monkeypatch):
    """Whoever listens, and whatever a target does: the others are looked at."""
    key = tree.service(20)
    found.follow(found.key, key)
    found.until(1.0)
    broken = found.observer._watches[0]
    monkeypatch.setattr(broken, "look", lambda *_: 1 / 0)
    monkeypatch.setattr(found.observer, "_notify", lambda *_: 1 / 0)
    tree.thread(20, syscall=SLEEP, slices=6)
    found.until(0.3)
    assert len(found.observer.in_progress(key)) == 1


def test_pays_for_itself(found):
    """Looks become rarer when they cost more than their share."""
    assert found.observer.interval_seconds == 0.05
    for _ in range(20):
        found.until(1.0)
        found.cpu += 0.5
    assert found.observer.interval_seconds == 1.0


def test_thread_ends(watching):
    """The thread starts, follows, and is gone after `stop`."""
    watch = watching()
    watch.observer._clock = time.monotonic
    watch.observer.start()
    watch.observer.stop()
    assert watch.observer._thread is None


class Published:
    """A segment whose live words are up to the test."""

    def __init__(self, segment):
        self._segment = segment
        self.file = segment.path

    def set(self, slot, since, due=0.0):
        """Set the words of one loop."""
        self._segment.words[layout.SINCE + slot] = since
        self._segment.words[layout.DUE + slot] = due

    def thread(self, slot, number):
        """Set whose loop it is."""
        values = [1.0, 0.0, float(number), 1.0] + [0.0] * (len(layout.LOOP_FIELDS) - 4)
        self._segment.put(layout.LOOP[slot], values, b"thread")


@pytest.fixture
def segments(tmp_path, monkeypatch):
    """Return a function that makes a segment which its test writes, for each number another."""
    made = []
    (tmp_path / "segments").mkdir()

    def make(number=0):
        folder = tmp_path / "segments" / str(number)
        folder.mkdir()
        monkeypatch.setenv("VITALSD_DIR", str(folder))
        made.append(Segment(0.1))
        published = Published(made[-1])
        published.file = Path(made[-1].path)
        return published

    yield make
    for each in made:
        each.remove()
        os.close(each._fd)


@pytest.fixture
def segment(segments):
    """A segment that its test writes."""
    return segments()


@pytest.fixture
def probed(tree, watching, segment):
    """An observer of one worker with a probe."""
    watch = watching()
    watch.key = tree.service()
    watch.segment = segment
    segment.set(0, -499.0)
    watch.follow(watch.key, segment=segment.file)
    watch.until(0.5)
    return watch


def test_probed(probed, tree):
    """The live word is the stall's name; the thread is looked at although it waits in an epoll of its own."""
    since = probed.now
    probed.segment.set(0, since)
    tree.thread(10, syscall=SLEEP)
    probed.until(0.3)
    (so_far,) = probed.observer.in_progress(probed.key)
    probed.segment.set(0, -probed.now)
    probed.until(0.1)
    late, ended = probed.events
    assert late.since == so_far.since == ended.evidence.since == since
    assert (late.probed, ended.probed, ended.evidence.runtime) == (True, True, "python")
    assert ended.evidence.seconds == pytest.approx(0.3, abs=0.006)
    assert ended.evidence.thread.doing.keys() == {"sleep"}
    assert probed.observer.observed(probed.key) is None
    assert probed.observer.missing(probed.key) is None


def test_probed_heartbeat(probed, tree):
    """One that waits beyond the time that is due is late since then."""
    due = probed.now + 0.1
    probed.segment.set(0, -probed.now, due)
    probed.until(0.5)
    assert probed.events[0].since == due


def test_probed_short_stretches_are_not_looked_into(probed, tree):
    """A loop that turns costs nothing but the look at its words."""
    for _ in range(40):
        probed.segment.set(0, probed.now - 0.03)
        probed.ticks()
    assert probed.events == []
    assert probed.observer._watches[0]._readers == {}


@pytest.fixture
def three(tree, watching, segments):
    """An observer of three workers with a probe, whose loops rest."""
    watch = watching()
    watch.segments = [segments(number) for number in range(3)]
    watch.keys = [tree.service(pid) for pid in (10, 20, 30)]
    for segment in watch.segments:
        segment.set(0, -499.0)
    watch.observer.follow(
        [
            Followed("shop", str(slot), key, segment.file)
            for slot, (key, segment) in enumerate(zip(watch.keys, watch.segments, strict=True))
        ]
    )
    watch.until(0.5)
    return watch


def looked_at(watch, monkeypatch, seconds):
    """Which of the three are looked at one by one within so long."""
    found, look = set(), Probed.look

    def noted(each, *when):
        found.add(watch.keys.index(each.key))
        return look(each, *when)

    with monkeypatch.context() as patch:
        patch.setattr(Probed, "look", noted)
        watch.until(seconds)
    return found


def test_probed_one_of_three(three, tree, monkeypatch):
    """A glance is enough for those who rest, or turn; the one that is late is looked at until it is back."""
    tree.thread(20, syscall=SLEEP)
    three.segments[1].set(0, three.now)
    three.segments[2].set(0, three.now - 0.001, 0.0)
    three.until(0.02)
    three.segments[2].set(0, -three.now)
    assert looked_at(three, monkeypatch, 0.3) == {1}
    ago = [three.now - three.observer.turned_at(key) for key in three.keys]
    assert ago == [math.inf, pytest.approx(0.3, abs=0.12), pytest.approx(0.3, abs=0.12)]
    assert [bool(three.observer.in_progress(key)) for key in three.keys] == [False, True, False]
    three.segments[1].set(0, -three.now)
    three.until(0.2)
    assert [type(event) for event in three.events] == [Late, Ended]
    assert three.observer.in_progress(three.keys[1]) == ()
    assert looked_at(three, monkeypatch, 0.5) == set()


def test_probed_files_that_cannot_be_read(three, tree, monkeypatch):
    """One file fails under the glance: all are looked at by themselves, and the stall of another is told."""
    real, broken = os.pread, three.observer._probed[three.keys[0]].descriptor

    def failing(file, *where):
        if file == broken:
            raise OSError(5, "Input/output error")
        return real(file, *where)

    monkeypatch.setattr(os, "pread", failing)
    tree.thread(20, syscall=SLEEP)
    three.segments[1].set(0, three.now)
    three.until(0.4)
    assert [(event.key, type(event)) for event in three.events] == [(three.keys[1], Late)]
    (problem,) = three.observer._problems
    assert "pid 10" in problem
    monkeypatch.setattr(os, "pread", real)
    three.segments[1].set(0, -three.now)
    three.until(0.2)
    assert three.events[-1].key == three.keys[1]
    assert looked_at(three, monkeypatch, 0.5) == set()


def test_probed_file_cut_short(three, monkeypatch):
    """What is left of its words is no stall, and nobody else's business."""
    os.truncate(three.segments[0].file, 8)
    three.until(0.5)
    assert (three.events, three.observer._problems) == ([], set())
    assert looked_at(three, monkeypatch, 0.3) == set()


def test_probed_node_that_is_stopped(three, tree, monkeypatch):
    """Its words do not tell of that: whether it is stopped is read at each glance, and then it is looked at."""
    watch = three.observer._probed[three.keys[0]]
    watch.runtime = "node"
    three.segments[0].set(0, -three.now, three.now + 60)
    three.observer._set_out()
    assert looked_at(three, monkeypatch, 0.3) == set()
    assert three.observer.turned_at(three.keys[0]) == -math.inf
    tree.add(10, start=1000, state="T")
    tree.thread(10, state="T")
    three.until(1.0)
    assert [event.key for event in three.events] == [three.keys[0]]


@pytest.mark.parametrize("inner", [12, 3])
def test_probed_thread(probed, tree, inner):
    """The thread of another loop, by its number in the service's own pid namespace."""
    tree.thread(10, 11, inner=inner + 1)
    tree.thread(10, 12, syscall=FUTEX, inner=inner)
    probed.segment.thread(1, inner)
    probed.segment.set(1, probed.now)
    probed.until(0.3)
    assert probed.events[0].loop == "loop-1"
    (evidence,) = probed.observer.in_progress(probed.key)
    assert evidence.thread.doing.keys() == {"futex"}


def test_probed_dies(probed, tree):
    """What a dead process has left in its segment is no stall that goes on."""
    probed.segment.set(0, probed.now)
    probed.until(0.3)
    (tree.root / "10/task/10/syscall").write_text("")
    tree.remove(10)
    probed.until(5.0)
    assert [type(event) for event in probed.events] == [Late, Ended]
    assert probed.events[1].evidence.seconds == pytest.approx(0.3, abs=0.06)
    assert probed.observer.in_progress(probed.key) == ()


@pytest.mark.parametrize("word", [float("nan"), float("inf"), -float("inf"), 1e300, -1e300])
def test_probed_damage(probed, word):
    """Any bytes in the live words are no stall, and nothing raises."""
    probed.segment.set(0, word, word)
    probed.until(1.0)
    assert probed.events == []
    assert probed.observer._problems == set()


def test_segment_that_cannot_be_read(tree, watching, tmp_path):
    """It is tried again; nothing is told meanwhile."""
    key = tree.service()
    watch = watching()
    path = tmp_path / "python-10-00000000.seg"
    watch.follow(key, segment=path)
    watch.until(2.0)
    path.write_bytes(struct.pack("<d", 1.0) * 100)
    watch.until(2.0)
    assert (watch.events, watch.observer._problems) == ([], set())


def test_worker_that_is_not_there(watching):
    """One that has gone before the first look, and one that nobody follows."""
    watch = watching()
    key = WorkerKey(99, 1)
    watch.follow(key)
    watch.until(12.0)
    assert (watch.observer.missing(key), watch.observer.observed(key), watch.observer.in_progress(key)) == (
        None,
        None,
        (),
    )
    watch.observer.settle(WorkerKey(98, 1), 1.0, True)
    assert watch.observer.missing(WorkerKey(98, 1)) is None


def test_probe_of_a_process_out_of_sight(watching, segment):
    """Its words alone tell that it is late, for how long, and that it is back; of its thread nothing is said."""
    watch, key = watching(), WorkerKey(STAND_INS + 10, 1000)
    segment.set(0, -499.0)
    watch.follow(key, segment=segment.file)
    watch.until(0.5)
    segment.set(0, watch.now)
    watch.until(1.0)
    (late,) = watch.events
    (so_far,) = watch.observer.in_progress(key)
    assert (late.probed, so_far.in_progress, so_far.thread) == (True, True, None)
    assert so_far.seconds == pytest.approx(1.0, abs=0.1)
    segment.set(0, -watch.now)
    watch.until(0.2)
    ended = watch.events[-1].evidence
    assert (ended.in_progress, ended.seconds) == (False, pytest.approx(1.0, abs=0.1))
    assert watch.observer._problems == set()
