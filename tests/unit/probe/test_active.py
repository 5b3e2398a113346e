"""The whole probe in one process: its thread around forks and at the end, what it gives up, and its last word."""

import atexit
import functools
import time
from pathlib import Path

import pytest

from vitalsd.probe.python import active, layout
from vitalsd.probe.python import segment as writer
from vitalsd.probe.python.active import Active
from vitalsd.probe.python.heartbeat import HeartbeatMeter
from vitalsd.probe.python.instruments import TRIES
from vitalsd.segment.reader import SegmentFile
from vitalsd.segment.vitals import ProbeDisabled, read_vitals


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Return a function that builds the probe without starting its thread."""
    monkeypatch.setenv("VITALSD_DIR", str(tmp_path))
    monkeypatch.setattr(atexit, "register", lambda function: function)
    probes = []

    def build():
        probe = Active(0.0, pytest.fail, pytest.fail)
        probe._failed = functools.partial(probe.abandon, "failed")
        probe._build()
        probes.append(probe)
        return probe

    yield build
    for probe in probes:
        probe._at_exit()


@pytest.fixture
def started(monkeypatch):
    """The threads of probes that have been started, none of which runs."""
    threads = []
    monkeypatch.setattr(active, "start_new_thread", lambda _run, locks: threads.append(locks[:2]))
    return threads


def look(probe):
    """What its file says."""
    opened = SegmentFile(probe._segment.path)
    try:
        return read_vitals(opened, time.monotonic(), time.time())
    finally:
        opened.close()


def live_words(probe):
    """What its loops are doing, in memory."""
    return list(probe._segment.words[layout.SINCE : layout.DUE + layout.LOOPS])


class Loop:
    """A loop without a selector that keeps its timers."""

    def __init__(self):
        self.timers = []

    def call_later(self, _seconds, callback):
        """Remember it."""
        self.timers.append(callback)
        return self


def test_off_while_numbers_are_told(made):
    """A failure elsewhere while the watchdog is about to tell its numbers: off is the last word all the same."""
    probe = made()
    probe._heap.read = lambda: probe.abandon("MemoryError: no room") or active.NOTHING
    probe._publish(time.monotonic())
    with pytest.raises(ProbeDisabled, match="MemoryError: no room"):
        look(probe)


def test_off_in_the_middle_of_a_record(made, monkeypatch):
    """Where it comes in the middle of the very record, the thread tells it once more when it leaves."""
    probe = made()
    store = probe._segment._store

    def interrupted(*arguments):
        monkeypatch.setattr(probe._segment, "_store", store)
        probe.abandon("MemoryError: no room")
        store(*arguments)

    monkeypatch.setattr(probe._segment, "_store", interrupted)
    probe.resume()
    assert probe._done.acquire(timeout=10)
    with pytest.raises(ProbeDisabled, match="MemoryError: no room"):
        look(probe)


def test_off_leaves_no_stall(made):
    """A loop that was busy when the probe went off is not busy for ever, whatever its meter still does."""
    probe, loop = made(), Loop()
    meter = HeartbeatMeter(loop, probe.loops._open(1), probe._segment.words, pytest.fail)
    probe._segment.words[layout.SINCE + 3] = time.monotonic()
    assert any(live_words(probe))
    probe.abandon("failed")
    assert not any(live_words(probe))
    loop.timers[0]()
    meter.ledger.mark(1.0, 2.0)
    assert not any(live_words(probe))


def test_off_during_a_heartbeat(made):
    """A heartbeat in the middle of which the probe goes off is the last one."""
    probe, loop = made(), Loop()
    meter = HeartbeatMeter(loop, probe.loops._open(1), probe._segment.words, pytest.fail)
    probe.loops.running[1] = meter
    meter._book = lambda _late: probe.abandon("failed") or meter._due
    loop.timers[0]()
    assert not any(live_words(probe))
    for timer in loop.timers[1:]:
        timer()
    assert len(loop.timers) <= 2


def test_off_on_a_disk(made, monkeypatch):
    """A copy on a disk has the last word too: the thread writes it, or whoever fails while there is no thread."""
    monkeypatch.setattr(writer, "in_memory", lambda _folder: False)
    probe = made()
    probe.resume()
    probe.abandon("MemoryError: no room")
    assert probe._done.acquire(timeout=10)
    with pytest.raises(ProbeDisabled):
        look(probe)
    other = made()
    other.abandon("MemoryError: no room")
    with pytest.raises(ProbeDisabled):
        look(other)


def test_off_is_final(made):
    """Neither a record nor a new file comes after it."""
    probe = made()
    probe.abandon("first")
    probe.abandon("second")
    Path(probe._segment.path).unlink()
    assert not probe._segment.renew()
    probe._segment.put(layout.LOOP[0], [1.0] * len(layout.LOOP_FIELDS))
    assert probe._segment.words[layout.LOOP[0].offset + 2] != 1.0
    assert probe._off == "first"


def test_resumed_once(made, started):
    """However many threads come back from a fork, one thread runs; and one that nobody stopped is not doubled."""
    probe = made()
    probe.resume()
    probe.resume()
    assert len(started) == 1
    started[0][1].release()
    probe.pause()
    probe.pause()
    assert not started[0][0].locked()
    probe.resume()
    probe.resume()
    assert len(started) == 2


def test_no_thread_to_be_had(made, monkeypatch):
    """Where no thread can be started, later forks do not wait for it to leave."""

    def refuse(*_arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(active, "start_new_thread", refuse)
    probe = made()
    with pytest.raises(RuntimeError):
        probe.resume()
    assert not probe._done.locked()


def test_fork_at_exit(made, started):
    """What the service forks after the probe's own end brings back neither its thread nor its file."""
    probe = made()
    probe.resume()
    started[0][1].release()
    probe._at_exit()
    probe.pause()
    probe.resume()
    assert len(started) == 1
    assert not probe._segment.renew()
    assert not Path(probe._segment.path).exists()


@pytest.mark.parametrize(
    ("name", "field"), [("executors", "executor_busy"), ("threads", "threads"), ("tasks", "tasks")]
)
def test_lasting_failure(made, monkeypatch, name, field):
    """What cannot be counted is left out, and after some tries it is told."""

    def fail(*_arguments):
        raise AttributeError("no qsize")

    probe = made()
    monkeypatch.setattr(active.counts, name if name != "tasks" else "task_references", fail)
    monkeypatch.setattr(active.counts, "_count_by_loop", fail)
    for _ in range(TRIES):
        probe._publish(time.monotonic())
    vitals = look(probe)
    assert getattr(vitals, field) is None
    assert vitals.lost == (f"{name}: AttributeError: no qsize",)


def test_gc_failure(made):
    """A callback that has failed is told as the instrument it was, and what it counted stands still."""
    probe = made()
    probe._gcspans._callback("start", {"generation": 0})
    probe._gcspans._callback("stop", {"generation": 0})
    before = probe._gcspans.values()
    probe._gcspans._callback("start", {})
    probe._gcspans._callback("stop", {})
    for _ in range(TRIES):
        probe._publish(time.monotonic())
    vitals = look(probe)
    assert vitals.lost == ("gc: KeyError: 'generation'",)
    assert sum(before) > 0


def test_errors_are_told_each_second_while_they_come(made):
    """However long its loops have rested; one that was told is over with the next time."""
    probe = made()
    probe._watchdog._rested_since = 1000.0
    probe._watchdog.all_wait = True
    assert probe._publish_seconds(2000.0) == active.PUBLISH_ASLEEP_SECONDS
    probe._errors.counts["task"] += 1
    probe._publish(2000.0)
    assert probe._publish_seconds(2000.0) == active.PUBLISH_SECONDS
    probe._publish(2001.0)
    assert probe._publish_seconds(2001.0) > active.PUBLISH_SECONDS
