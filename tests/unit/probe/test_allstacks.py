"""What the probe says that every thread is doing."""

import sys
import threading

import pytest

from vitalsd.probe.python import allstacks
from vitalsd.probe.python.allstacks import all_stacks
from vitalsd.probe.python.protocol import Refused


def wait_inside(event):
    """Wait."""
    event.wait()


def listed():
    """The head, and the frames by number and name of the thread; how many steps it took."""
    job, steps = all_stacks(), 0
    while True:
        try:
            next(job)
            steps += 1
        except StopIteration as over:
            head, *rows = over.value.decode().split("\n")
            break
    threads = {}
    for row in rows:
        fields = row.split("\t")
        if len(fields) == 2:
            frames = threads.setdefault(tuple(fields), [])
        else:
            frames.append(fields)
    return dict(pair.split("=") for pair in head.split("\t")), threads, steps


@pytest.fixture
def waiting():
    """Some threads that wait."""
    event = threading.Event()
    threads = [threading.Thread(target=wait_inside, args=(event,), name=f"waits\t{n}") for n in range(50)]
    for thread in threads:
        thread.start()
    yield threads
    event.set()
    for thread in threads:
        thread.join()


def test_every_thread(waiting):
    """Its number, its name on one line, and its frames, innermost first."""
    head, threads, steps = listed()
    assert int(head["threads"]) == len(sys._current_frames())
    assert 0 < int(head["held_ns"]) < 10**9
    assert steps > 1
    for thread in waiting:
        frames = threads[str(thread.native_id), thread.name.replace("\t", " ")]
        _, file, line = next(frame for frame in frames if frame[0].endswith("wait_inside"))
        assert (file, line) == (__file__, str(wait_inside.__code__.co_firstlineno + 2))
        assert frames[0][0].endswith("wait")
    assert any(name == "MainThread" for _, name in threads)


def test_no_code_of_the_service_runs(waiting):
    """A thread whose name is computed is not asked for it."""

    class Trap(threading.Thread):
        @property
        def name(self):
            asked.append(self)
            return "mine"

    asked = []
    event = threading.Event()
    trap = Trap(target=event.wait)
    trap._name = "trap"
    trap.start()
    asked.clear()
    _, threads, _ = listed()
    assert asked == []
    event.set()
    trap.join()
    assert any(name == "trap" for _, name in threads)


def test_more_threads_than_are_told(waiting, monkeypatch):
    """Those with a name come first, and how many more there are is said."""
    monkeypatch.setattr(allstacks, "MOST_THREADS", 10)
    head, threads, _ = listed()
    assert int(head["threads"]) == 10
    assert all(name for _, name in threads)
    assert int(head["untold"]) == len(sys._current_frames()) - 10


def test_without_the_lock(monkeypatch):
    """It would be wrong, so it is refused."""
    monkeypatch.setattr(allstacks, "GIL", False)
    with pytest.raises(Refused, match="run on"):
        next(all_stacks())
