"""
When stacks are taken: during a stall, a few times, one at a time, and no more than a budget allows.

Of a Node they are read from its memory, which takes a millisecond in the agent's loop: as its thread stands where
that is in a call, from samples of the kernel's where it computes. Of anything else they are taken by py-spy.

The first sample is taken at once, the others after 40, 80, 160 and 320 ms, until the stall is over. A worker has a
budget of 20 samples that fills up by one in 2 s, a Node one of 60 that does so in half a second. What is not taken
has a reason, told and counted, and nothing raises. A sample that may be of the time after the stall is thrown
away: that stack is innocent.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import msgspec

from vitalsd.capture import pauses
from vitalsd.capture.bursts import burst
from vitalsd.capture.ownroom import own_room
from vitalsd.capture.pyspy import DumpError, DumpTimeout, NoDump, ThreadStack, dump
from vitalsd.capture.pyspy_fit import PYSPY_BYTES
from vitalsd.capture.tokens import Bucket
from vitalsd.capture.whose import thread_of
from vitalsd.model import Frame, Stack, StackRefusal, WorkerKey
from vitalsd.sources.interpreter import BETWEEN, ComputesError, Glance, NoV8StackError, V8Stacks
from vitalsd.sources.perf import NoSamplesError, UserSample

__all__ = ["Late", "StackSampler", "Stacks"]

WAITS_SECONDS = (0.0, 0.04, 0.08, 0.16, 0.32)
"""Before each sample; five tell one callback from many, see detect.culprit."""
BURSTS_AT_ONCE = 3
"""The kernel has room for four such rings of a user, or as many as it is told (`kernel.perf_event_mlock_kb`)."""
MAX_THREADS = 200
"""py-spy #872: with 159 threads a job of 1.5 s took 7.6 s and more."""
BURST, REFILL_SECONDS = 20, 2.0
NODE_BURST, NODE_REFILL_SECONDS = 60, 0.5
"""Of a Node: a few milliseconds of the agent's in the place of tens of another program's."""
REFUSED_SECONDS = 60.0
"""So long a worker that may not be read is left alone; somebody may have granted the permission since."""
CALLBACKS_PER_SECOND, LEAST_CALLBACKS = 50.0, 3
"""Fewer are no flood, but a few callbacks that are long."""
TICKS_OF_A_BUFFER = 2048
SURE_SECONDS = 0.02
"""By so much the end of a stall may be known too late: what goes on just before it may have been after it."""
KEPT_STALLS = 64
KEPT_WORKERS = 1024


OUT_OF_SIGHT = "its process is out of this agent's sight, and its probe had no stack of it"


class Late(msgspec.Struct, frozen=True):
    """A loop that does not come back."""

    key: WorkerKey
    thread_id: int
    """Of the loop's thread, in the agent's pid namespace or in the service's."""
    since: float
    """CLOCK_MONOTONIC; with the key and the thread it names the stall."""
    thread_name: str = ""
    """Python before 3.11 does not tell py-spy the number of a thread, only its name."""


class Stacks(msgspec.Struct, frozen=True):
    """What was seen of one stall so far."""

    stacks: tuple[Stack, ...] = ()
    """Of the loop's thread, the most seen first."""
    holders: tuple[Stack, ...] = ()
    """Of another thread that held the interpreter lock at that moment."""
    refusal: str | None = None
    """Why there are no more."""
    after_seconds: float | None = None
    """How old the stall was when the first was there."""
    heap_looks: int = 0
    collecting: int = 0
    """How often V8 was asked what it is at, and how often that was collecting garbage."""


def _ticks_between(before: tuple[int, int] | None, after: tuple[int, int] | None) -> int:
    """How many at the least were taken; of another buffer nothing is said, since a collection moves it too."""
    if before is None or after is None or before[0] != after[0]:
        return 0
    return (after[1] - before[1]) % TICKS_OF_A_BUFFER


class _Watch:
    """One stall that is being sampled."""

    def __init__(self, late: Late) -> None:
        self.late = late
        self.over = asyncio.Event()
        self.samples: list[tuple[float, tuple[Frame, ...], tuple[Frame, ...]]] = []
        """When it was there at the latest, the loop's thread, and who held the lock."""
        self.refusal: str | None = None
        self.computes = False
        """Whether it is a Node that computes, and has to be sampled."""
        self.heap_looks = self.collecting = 0
        self._taken = Glance().taken
        self._taken_at = 0.0

    def note(self, glance: Glance, now: float) -> None:
        """What V8 is at; that one of its queues went on quickly since the last time is a sample as well."""
        if glance.collecting is not None:
            self.heap_looks += 1
            self.collecting += glance.collecting
        least = max(LEAST_CALLBACKS, CALLBACKS_PER_SECOND * (now - self._taken_at))
        (ticks, microtasks), (ticks_now, microtasks_now) = self._taken, glance.taken
        counted = (
            _ticks_between(ticks, ticks_now),
            microtasks_now - microtasks if microtasks is not None and microtasks_now is not None else 0,
        )
        for count, between in zip(counted, BETWEEN, strict=True):
            if count >= least:
                self.samples.append((now + SURE_SECONDS, (between,), ()))
        self._taken, self._taken_at = glance.taken, now

    def seen(self) -> Stacks:
        return Stacks(
            _merge(frames for _, frames, _ in self.samples),
            _merge(frames for _, _, frames in self.samples),
            self.refusal,
            self.samples[0][0] - self.late.since if self.samples else None,
            self.heap_looks,
            self.collecting,
        )


Name = tuple[WorkerKey, int, float]


class StackSampler:
    """The one place of an agent that has stacks taken for stalls. All methods belong to the thread of its loop."""

    def __init__(
        self,
        take: Callable[[int], Awaitable[list[ThreadStack]]] = dump,
        *,
        proc: Path = Path("/proc"),
        sample: Callable[[int], Awaitable[list[UserSample]]] = burst,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[asyncio.Event, float], Awaitable[None]] = pauses.pause,
        own_left: Callable[[], int | None] = lambda: own_room().left_bytes(),
    ) -> None:
        self._take = take
        self._v8 = V8Stacks(proc)
        self._burst = sample
        self._proc = proc
        self._clock = clock
        self._pause = pause
        self._own_left = own_left
        self._one_at_a_time = asyncio.Lock()
        self._bursts_at_once = asyncio.Semaphore(BURSTS_AT_ONCE)
        self._queue: asyncio.Queue[_Watch] = asyncio.Queue()
        self._watches: OrderedDict[Name, _Watch] = OrderedDict()
        self._buckets: OrderedDict[WorkerKey, Bucket] = OrderedDict()
        self._refused: OrderedDict[WorkerKey, tuple[float, StackRefusal, str]] = OrderedDict()
        self.refusals: Counter[StackRefusal] = Counter()
        """Reason in a word -> samples that were not taken, or that came to nothing."""
        self.dumps = 0
        """How often py-spy was asked, or the memory of a Node was looked at."""

    async def run(self) -> None:
        """Sample the stalls that are told, for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                watch = await self._queue.get()
                tasks.create_task(self._follow(watch))

    def late(self, event: Late) -> None:
        """A loop is late: begin to sample it. The same event again changes nothing."""
        name = (event.key, event.thread_id, event.since)
        if name in self._watches:
            return
        watch = self._watches[name] = _Watch(event)
        while len(self._watches) > KEPT_STALLS:
            self._watches.popitem(last=False)[1].over.set()
        self._queue.put_nowait(watch)

    def ended(self, event: Late, at: float | None = None) -> Stacks:
        """The stall is over, since `at` on CLOCK_MONOTONIC if that is known: what was seen of it, once."""
        watch = self._watches.pop((event.key, event.thread_id, event.since), None)
        if watch is None:
            return Stacks()
        watch.over.set()
        if at is not None:
            self._throw_away(watch, at)
        if not watch.samples and watch.refusal is None:
            watch.refusal = "the stall was over before its stack was seen"
        return watch.seen()

    def _throw_away(self, watch: _Watch, at: float) -> None:
        """Keep what was there by then."""
        innocent = sum(sample[0] > at for sample in watch.samples)
        if innocent:
            self.refusals["over"] += innocent
            watch.samples = [sample for sample in watch.samples if sample[0] <= at]

    def seen(self, event: Late) -> Stacks:
        """What was seen of a stall that goes on."""
        watch = self._watches.get((event.key, event.thread_id, event.since))
        return watch.seen() if watch is not None else Stacks()

    async def _follow(self, watch: _Watch) -> None:
        for wait in WAITS_SECONDS:
            if wait:
                await self._pause(watch.over, wait)
            if watch.over.is_set():
                return
            async with self._one_at_a_time:
                if watch.over.is_set():
                    return
                if not await self._sample(watch):
                    return
            if watch.computes and not watch.over.is_set():
                await self._sample_running(watch)

    async def _sample(self, watch: _Watch) -> bool:
        """Take one; False when there is no sense in another."""
        key = watch.late.key
        watch.computes = False
        try:
            refusal = self._refusal(key)
            if refusal is not None:
                return self._refuse(watch, *refusal)
            self.dumps += 1
            holder: tuple[Frame, ...] = ()
            frames = self._v8.frames(key, watch.late.thread_id)
            if frames is not None:
                watch.note(self._v8.glance(key, watch.late.thread_id), self._clock())
            else:
                frames, holder = self._pick(watch.late, await self._take(key.pid))
        except ComputesError:
            watch.computes = True
            return True
        except NoV8StackError as error:
            self._refuse(watch, error.reason, str(error), lasting=error.lasting)
            return not error.lasting
        except NoDump as error:
            return self._refuse(watch, "forbidden", str(error), lasting=True)
        except DumpTimeout as error:
            return self._refuse(watch, "timeout", str(error), lasting=True)
        except DumpError as error:
            self._refuse(watch, "failed", str(error))
            return True
        except Exception as error:  # noqa: BLE001 - evidence that cannot be had must not end the agent
            return self._refuse(watch, "failed", f"no stack could be taken: {type(error).__name__}: {error}")
        if watch.over.is_set():
            self.refusals["over"] += 1
            return False
        if not frames:
            return self._refuse(watch, "thread", f"py-spy does not see thread {watch.late.thread_id} of {key.pid}")
        watch.samples.append((self._clock(), frames, holder))
        watch.refusal = None
        return True

    async def _sample_running(self, watch: _Watch) -> None:
        """Take a few of a Node that computes; nobody else waits for it to run."""
        key, thread = watch.late.key, watch.late.thread_id
        try:
            watch.note(self._v8.glance(key, thread), self._clock())
            async with self._bursts_at_once:
                taken = await self._burst(self._v8.number(key, thread))
            found = self._v8.sampled(key, thread, taken)
            watch.samples += [(at, frames, ()) for at, frames in found]
            watch.note(self._v8.glance(key, thread), self._clock())
        except NoSamplesError as error:
            self._refuse(watch, "forbidden", str(error))
        except NoV8StackError as error:
            self._refuse(watch, error.reason, str(error))
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse(watch, "failed", f"no stack could be taken: {type(error).__name__}: {error}")
        else:
            if not found:
                told = "it did not run while its stack was being sampled"
                if taken:
                    told = "its stack was sampled, and could not be followed to a function of a script"
                self._refuse(watch, "failed", told)
                return
            watch.refusal = None

    def _refuse(self, watch: _Watch, reason: StackRefusal, sentence: str, *, lasting: bool = False) -> bool:
        self.refusals[reason] += 1
        watch.refusal = sentence
        if lasting:
            self._refused[watch.late.key] = (self._clock() + REFUSED_SECONDS, reason, sentence)
            while len(self._refused) > KEPT_WORKERS:
                self._refused.popitem(last=False)
        return False

    def _refusal(self, key: WorkerKey) -> tuple[StackRefusal, str] | None:
        """Why this worker is not to be looked at now: a word, and a sentence."""
        if not key.in_sight:
            return "forbidden", OUT_OF_SIGHT
        refused = self._refused.get(key)
        if refused is not None and self._clock() < refused[0]:
            return refused[1:]
        try:
            stat = (self._proc / str(key.pid) / "stat").read_bytes().rpartition(b")")[2].split()
            state, threads, started = stat[0].decode(), int(stat[17]), int(stat[19])
        except (OSError, ValueError, IndexError):
            return "gone", f"process {key.pid} has ended"
        if started != key.start_ticks or state in "ZX":
            return "gone", f"process {key.pid} has ended"
        if state in "Tt":
            return "stopped", f"process {key.pid} is stopped, and left alone meanwhile"
        node = self._v8.runs(key)
        if threads > MAX_THREADS and not node:
            return (
                "threads",
                f"process {key.pid} has {threads} threads: beyond {MAX_THREADS} py-spy may slow it down",
            )
        left = self._own_left() if not node else None
        if left is not None and left < PYSPY_BYTES:
            return (
                "own_memory",
                f"py-spy takes {PYSPY_BYTES >> 20} MiB beside this agent, whose own memory limit leaves less",
            )
        most, refill = (NODE_BURST, NODE_REFILL_SECONDS) if node else (BURST, REFILL_SECONDS)
        bucket = self._buckets.pop(key, None) or Bucket(most, refill, self._clock())
        self._buckets[key] = bucket
        while len(self._buckets) > KEPT_WORKERS:
            self._buckets.popitem(last=False)
        if not bucket.take(self._clock()):
            return "budget", f"the budget of {most} samples, one more each {refill:g} s, is used up"
        return None

    def _pick(self, late: Late, threads: list[ThreadStack]) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
        """The frames of the loop's thread, and of another that holds the interpreter lock."""
        loop = thread_of(late.key.pid, late.thread_id, late.thread_name, threads, self._proc)
        holder = next((thread for thread in threads if thread.owns_gil and thread is not loop), None)
        return loop.frames if loop is not None else (), holder.frames if holder is not None else ()


def _merge(samples: Iterable[tuple[Frame, ...]]) -> tuple[Stack, ...]:
    """Equal stacks as one, the most seen first."""
    counted = Counter(frames for frames in samples if frames)
    return tuple(Stack(count, frames) for frames, count in counted.most_common())
