"""Readings of the heap and of what runs in the process: what they say, and how seldom the dear ones are taken."""

import asyncio
import gc
import math
import sys
import threading
import types
import weakref
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as futures

import pytest

from vitalsd.probe.python import counts, heap
from vitalsd.probe.python.heap import Heap


@pytest.fixture
def clock(monkeypatch):
    """The heap's clock, and what one reading takes on it."""
    made = types.SimpleNamespace(now=100.0, cost=0.0)
    monkeypatch.setattr(heap, "monotonic", lambda: made.now)
    monkeypatch.setattr(heap, "thread_time", lambda: made.now)
    return made


@pytest.fixture
def readings(clock, monkeypatch):
    """A heap whose readings only cost time: (heap, how many there were)."""
    made = Heap()
    taken = []

    def read_blocks():
        clock.now += clock.cost
        taken.append(clock.now)
        return 7.0, 1000.0

    monkeypatch.setattr(made, "_read_blocks", read_blocks)
    return made, taken


def count_over(reading, taken, clock, seconds):
    """How many readings one call a second brings."""
    del taken[:]
    for _ in range(seconds):
        clock.now += 1.0
        reading()
    return len(taken)


@pytest.mark.parametrize(("cost", "expected"), [(0.0, 10), (0.004, 10), (0.01, 5), (0.05, 1)])
def test_rest(readings, clock, expected, cost):
    """A reading is taken every ten seconds, and less often the longer it takes: a two-thousandth of the time."""
    made, taken = readings
    clock.cost = cost
    assert count_over(made.read, taken, clock, 100) == expected


def test_live_heap(readings, clock):
    """After a full collection the next look reads at once, what it finds is alive, and then that rests too."""
    made, taken = readings
    assert [math.isnan(value) for value in made.read()[1::2][:2]] == [True, True]
    clock.now += 1.0
    made.after_full_collection()
    assert made.read()[3] == 7.0
    assert len(taken) == 2
    made.after_full_collection()
    assert count_over(made.read, taken, clock, 9) == 0
    assert count_over(made.read, taken, clock, 2) == 1


def readings_taken(clock, costs):
    """How many of these readings, each at its cost, are taken before the last one is."""
    taken = []

    def read():
        clock.now += costs[len(taken)]
        taken.append(clock.now)
        return 1000.0

    reading = heap.Reading(read)
    told = [reading() for _ in costs]
    assert [value for value in told if value is not None] == [1000.0] * len(taken)
    return len(taken)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([0.006] * 5, 3),
        ([0.006, 0.006, 0.001] * 3, 9),
        ([0.001, 0.03, 0.001], 2),
        ([0.004] * 9, 9),
    ],
    ids=["dear again and again", "dear now and then", "so dear that once is enough", "never dear"],
)
def test_too_large_to_read(clock, costs, expected):
    """What takes 5 ms three times in a row, or 20 ms once, is given up; a single dear reading may be noise."""
    assert readings_taken(clock, costs) == expected


def test_given_up(clock):
    """What has been given up is unknown from then on, and the rest goes on."""
    made = Heap()
    if math.isnan(made.read()[0]):
        pytest.skip("this interpreter or its C library does not tell what is allocated")

    def slow():
        clock.now += 1.0
        return 1000.0

    made._small_objects = heap.Reading(slow)
    clock.now += 10_000.0
    assert made.read()[0] > 0
    clock.now += 10_000.0
    used, _, blocks, *_ = made.read()
    assert math.isnan(used)
    assert blocks > 0


def test_real_heap():
    """A real reading follows what the process allocates: many small objects, and one large one."""
    before, after = Heap(), Heap()
    gc.collect()  # or what other tests have left is given back meanwhile
    used, _, blocks, *_ = before.read()
    if math.isnan(used):
        pytest.skip("this interpreter or its C library does not tell what is allocated")
    kept = [[number] for number in range(100_000)], bytearray(64 * 1024 * 1024)
    used_after, _, blocks_after, _, malloc_used, malloc_held = after.read()
    assert blocks_after - blocks > 100_000
    assert 60 * 1024 * 1024 < used_after - used < 100 * 1024 * 1024
    assert malloc_held >= malloc_used > 64 * 1024 * 1024
    assert len(kept) == 2


class Work:
    """Calls that tell when they run, and end when told."""

    def __init__(self):
        self._started, self._release = threading.Semaphore(0), threading.Event()

    def __call__(self):
        """Run until told to end."""
        self._started.release()
        assert self._release.wait(10)

    def wait_started(self, count):
        """Wait until so many run."""
        for _ in range(count):
            assert self._started.acquire(timeout=10)

    def end(self):
        """Let all of them end."""
        self._release.set()


def wait_idle(pool, threads):
    """Wait until so many threads of a pool have told it that they are idle."""
    taken = [pool._idle_semaphore.acquire(timeout=10) for _ in range(threads)]
    assert taken == [True] * threads
    pool._idle_semaphore.release(threads)


def test_executors():
    """Threads, busy threads and waiting calls over all pools, as they come and go."""
    before = counts.total(counts.executors())
    first, second = Work(), Work()
    with ThreadPoolExecutor(2) as one, ThreadPoolExecutor(3) as other:
        calls = [one.submit(first) for _ in range(2)] + [other.submit(second)]
        first.wait_started(2)
        second.wait_started(1)
        assert counts.total(counts.executors()) == (before[0] + 3, before[1] + 3, before[2])
        calls += [one.submit(second) for _ in range(3)]
        assert counts.total(counts.executors()) == (before[0] + 3, before[1] + 3, before[2] + 3)
        second.end()
        calls[2].result(10)
        wait_idle(other, 1)
        assert counts.total(counts.executors()) == (before[0] + 3, before[1] + 2, before[2] + 3)
        first.end()
        for call in calls:
            call.result(10)
    assert counts.total(counts.executors()) == before


def test_executors_one_by_one():
    """Each pool by the name of its threads, the one with the longest queue first."""
    work = Work()
    with ThreadPoolExecutor(1, "few") as few, ThreadPoolExecutor(3, "many_calls") as many:
        calls = [few.submit(work) for _ in range(2)] + [many.submit(work) for _ in range(8)]
        work.wait_started(4)
        during = [pool for pool in counts.executors() if pool[0] in ("few", "many_calls")]
        work.end()
        for call in calls:
            call.result(10)
    assert during == [("many_calls", 3.0, 3.0, 5.0), ("few", 1.0, 1.0, 1.0)]


@pytest.mark.parametrize(
    ("thread", "pool"),
    [
        ("asyncio_3", "asyncio"),
        ("ThreadPoolExecutor-0_12", "ThreadPoolExecutor-0"),
        ("mine", "mine"),
        ("_3", "_3"),
    ],
)
def test_name_of_a_pool(thread, pool):
    """What the names of its threads begin with."""
    assert counts._pool_name(thread) == pool


def test_executors_after_a_backlog():
    """A pool that had more calls than threads at some time still tells its busy threads, as do the others."""
    before = counts.total(counts.executors())
    blocked = Work()
    with ThreadPoolExecutor(2) as one, ThreadPoolExecutor(1) as other:
        backlog = Work()
        calls = [one.submit(backlog) for _ in range(20)]
        backlog.end()
        for call in calls:
            call.result(10)
        calls = [one.submit(blocked), one.submit(blocked), other.submit(blocked)]
        blocked.wait_started(3)
        during = counts.total(counts.executors())
        blocked.end()
        for call in calls:
            call.result(10)
    assert during == (before[0] + 3, before[1] + 3, before[2])


def test_executors_whose_thread_has_ended():
    """A thread that has ended but is still referred to is not counted, though another has its identity by now."""
    before = counts.total(counts.executors())
    work = Work()
    with ThreadPoolExecutor(1) as ended:
        ended.submit(int).result(10)
        lingering = set(ended._threads)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(work)
        work.wait_started(1)
        (thread,) = pool._threads
        for one in lingering:
            one._ident = thread.ident
        during = counts.total(counts.executors())
        work.end()
        call.result(10)
    assert during == (before[0] + 1, before[1] + 1, before[2])


class Ended:
    """A thread that has ended, in a cycle of which a collection has yet to hear."""

    def __init__(self):
        self.itself = self


def test_executors_while_a_collection_takes_some():
    """To look at them may set it off."""
    queues = futures._threads_queues
    before = gc.get_threshold()
    gc.disable()
    try:
        for _ in range(200):
            queues[Ended()] = None
        gc.set_threshold(gc.get_count()[0] + 100)  # in the middle of looking at two hundred
        gc.enable()
        counts.executors()
    finally:
        gc.set_threshold(*before)
        gc.enable()


def test_executors_while_a_pool_grows(monkeypatch):
    """A thread that a pool starts while they are looked at disturbs nothing."""

    class Thread:
        ident = 0
        looked_at = False

        def __hash__(self):
            if self.looked_at:
                queues[threading.current_thread()] = None
            return 7

    thread, queues = Thread(), weakref.WeakKeyDictionary()
    queues[thread] = None
    thread.looked_at = True
    monkeypatch.setattr(sys.modules["concurrent.futures.thread"], "_threads_queues", queues)
    assert counts.total(counts.executors()) == (0.0, 0.0, 0.0)


def test_executors_without_any(monkeypatch):
    """A process that has not loaded the module has no pools, and does not load it for us."""
    monkeypatch.delitem(sys.modules, "concurrent.futures.thread")
    assert counts.total(counts.executors()) == (0.0, 0.0, 0.0)
    assert "concurrent.futures.thread" not in sys.modules


def test_threads():
    """Threads that the service has started, the main one included."""
    release = threading.Event()
    before = counts.threads()
    thread = threading.Thread(target=release.wait, args=(10,))
    thread.start()
    assert counts.threads() == before + 1
    release.set()
    thread.join()
    assert counts.threads() == before


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="3.14 keeps its tasks out of sight")
def test_tasks():
    """Tasks that are not done, over all loops, counted again when it is due; those that are done do not count."""

    async def main():
        count = counts.Tasks(list).count
        before = count(0.0)
        tasks = [asyncio.create_task(asyncio.sleep(10)) for _ in range(4)]
        early, during = count(1.0), count(1e6)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return before, early, during, counts.Tasks(list).count(0.0), len(tasks)

    before, early, during, after, kept = asyncio.run(main())
    assert (early, during, after, kept) == (before, before + 4, before, 4)


def test_tasks_without_asyncio(monkeypatch):
    """A process without asyncio has no tasks."""
    monkeypatch.delitem(sys.modules, "asyncio.tasks")
    assert counts.Tasks(list).count(0.0) == 0.0
