"""
What grows, for incidents that say that something does: two censuses some time apart, and the difference.

The first is taken when a finding comes, the others one, three and nine times `capture.census_interval` after it:
10 min, half an hour, an hour and a half. Each is compared with the first, since what grows stands out the better
the longer it does. `leak` and `growth` of a worker share them, so a leak that is proven has what was seen before.

One at a time on the whole host, of three workers of a service at once, within the policy's bounds. What is not
taken has a reason, which the incident tells, and is tried again. Nothing raises. All methods belong to the thread
of the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import structlog

from vitalsd.capture import pauses
from vitalsd.capture.census import (
    AGAIN_BUDGET_BYTES,
    BUDGET_BYTES,
    Census,
    NoCensus,
    TaskList,
    list_tasks,
    take_census,
)
from vitalsd.capture.census_policy import CensusPolicy
from vitalsd.capture.growing import growing_coroutines, growing_counts, growing_types, without_numbers
from vitalsd.model import Finding, WorkerKey, WorkerSample
from vitalsd.times import rfc3339

__all__ = ["GrowthCensuses", "Topic"]

TIMES = (1.0, 3.0, 9.0)
TRIES = 10
RETRY_SECONDS = 30.0
QUIET_SECONDS = 300.0
"""What was not found for so long is over."""
AGAIN_SECONDS = 6 * 3600.0
"""What is found for so long is looked into anew."""
AGAIN_AFTER_REFUSAL_SECONDS = 3600.0
MOST_OF_A_TARGET = 3
KEPT = 1024

Topic = Literal["types", "resources", "coroutines", "descriptors", "threads"]
TOPICS: dict[str, Topic] = {
    "leak": "types",
    "growth": "types",
    "heap_exhaustion": "types",
    "task_leak": "coroutines",
    "fd_leak": "descriptors",
    "fd_exhaustion": "descriptors",
    "thread_leak": "threads",
}
"""What grows, by the kind of the finding."""
COUNTED: dict[Topic, str] = {"descriptors": "kind", "threads": "thread", "resources": "resource"}
"""What is counted without asking the service for it, and what each is told as."""
Reading = Census | TaskList | Mapping[str, int]
Name = tuple[str, str, Topic]
"""Target, slot, topic."""

log = structlog.get_logger(__name__)


class TakeCensus(Protocol):
    """The engine."""

    def __call__(
        self, path: Path, pid: int, *, stride: int = 1, budget_bytes: int = BUDGET_BYTES
    ) -> Awaitable[Census]: ...


class _Watch:
    """One worker, and what grows in it."""

    def __init__(self, worker: WorkerSample, key: WorkerKey, topic: Topic, now: float) -> None:
        self.worker = worker
        self.key = key
        self.topic = topic
        self.heard_at = self.began_at = now
        self.again_seconds = AGAIN_AFTER_REFUSAL_SECONDS
        self.over = asyncio.Event()
        self.rows: list[dict[str, object]] | None = None
        self.about: dict[str, object] = {}
        self.reason = "the first census is not taken yet"
        self.refused: str | None = None

    def evidence(self) -> dict[str, object]:
        """What is known by now, or why nothing is."""
        told = {f"growing_{self.topic}": self.rows, **self.about} if self.rows is not None else {}
        if self.topic == "resources" and self.refused is None:
            return told if self.rows else {}  # that it is no timer or socket tells nothing
        return told if self.rows else {**told, "no_census_reason": self.reason}

    def compare(self, first: Reading, later: Reading, seconds: float, at: float) -> None:
        """Take over what has grown between the two, the later one of unix time `at`."""
        self.about = {"census_seconds": round(seconds, 1), "census_at": rfc3339(at)}
        if isinstance(first, Census) and isinstance(later, Census):
            self.rows = growing_types(first, later)
            self.about["census_share"] = min(first.share, later.share)
        elif isinstance(first, TaskList) and isinstance(later, TaskList):
            self.rows = growing_coroutines(first, later)
        elif isinstance(first, Mapping) and isinstance(later, Mapping):
            self.rows = growing_counts(COUNTED[self.topic], first, later)
        self.reason = f"of nothing was there more {seconds:.0f} s after the first census, as far as was seen"
        self.again_seconds = AGAIN_SECONDS


class GrowthCensuses:
    """Every worker in which something grows."""

    def __init__(
        self,
        socket_of: Callable[[WorkerKey], Path | None],
        policy: CensusPolicy,
        interval_seconds: float,
        counts: Mapping[Topic, Callable[[WorkerSample], Mapping[str, int]]],
        *,
        census: TakeCensus = take_census,
        tasks: Callable[[Path, int], Awaitable[TaskList]] = list_tasks,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        pause: Callable[[asyncio.Event, float], Awaitable[None]] = pauses.pause,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._socket_of = socket_of
        """The control socket of a worker's probe, if it has one."""
        self._policy = policy
        self._counts = counts
        """How descriptors are counted by kind, and so on; of what is missing here nothing is told."""
        self._census, self._tasks = census, tasks
        self._clock, self._wall = clock, wall
        self._pause = pause
        self._one_at_a_time = asyncio.Lock()
        self._queue: asyncio.Queue[_Watch] = asyncio.Queue()
        self._watches: OrderedDict[Name, _Watch] = OrderedDict()
        self.taken: Counter[Topic] = Counter()
        self.refused: Counter[str] = Counter()
        """Reason in a word -> how often something was not taken because of it."""

    async def run(self) -> None:
        """Follow what is told, for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._follow(await self._queue.get()))

    def accompany(self, worker: WorkerSample, findings: Sequence[Finding]) -> list[Finding]:
        """These findings, each with what is known to grow; where something does, it is followed from now on."""
        told = []
        for finding in findings:
            self.begin(worker, finding.kind)
            evidence = self.evidence(worker, finding.kind)
            full = (
                msgspec.structs.replace(finding, evidence={**finding.evidence, **evidence})
                if evidence
                else finding
            )
            told.append(full)
        return told

    def begin(self, worker: WorkerSample, kind: str) -> None:
        """Something of this kind was found in a worker: find out what grows. Told again, it goes on."""
        topic = _topic(worker, kind)
        if topic is None or worker.key is None or (topic in COUNTED and topic not in self._counts):
            return
        now = self._clock()
        name = (worker.target, worker.slot, topic)
        before = self._watches.get(name)
        if before is not None and before.key == worker.key:
            quiet = now - before.heard_at > QUIET_SECONDS
            before.worker, before.heard_at = worker, now
            if not before.over.is_set() or (now - before.began_at < before.again_seconds and not quiet):
                return
        watch = _Watch(worker, worker.key, topic, now)
        if before is not None:
            before.over.set()
            if before.key == worker.key:
                watch.rows, watch.about = before.rows, before.about
        self._watches[name] = watch
        self._watches.move_to_end(name)
        while len(self._watches) > KEPT:
            self._watches.popitem(last=False)[1].over.set()
        if self._followed(watch) > MOST_OF_A_TARGET:
            watch.over.set()
            self._refuse(watch, "others", f"{MOST_OF_A_TARGET} other workers of this service are looked into")
        else:
            self._queue.put_nowait(watch)

    def _followed(self, watch: _Watch) -> int:
        """How many of the same service are."""
        return sum(
            not other.over.is_set() and other.topic == watch.topic and other.worker.target == watch.worker.target
            for other in self._watches.values()
        )

    def evidence(self, worker: WorkerSample, kind: str) -> dict[str, object]:
        """What grows in this worker, as evidence of an incident of this kind; or why that is not known."""
        topic = _topic(worker, kind)
        watch = self._watches.get((worker.target, worker.slot, topic)) if topic is not None else None
        return watch.evidence() if watch is not None and watch.key == worker.key else {}

    async def _follow(self, watch: _Watch) -> None:
        try:
            await self._compare_again_and_again(watch)
        except Exception:  # evidence that cannot be had must not end the agent
            log.exception("census_failed", target=watch.worker.target, worker=watch.worker.slot, of=watch.topic)
        finally:
            watch.over.set()

    async def _compare_again_and_again(self, watch: _Watch) -> None:
        first = await self._take(watch, None)
        first_at = self._clock()
        for times in TIMES if first is not None else ():
            due = first_at + times * self.interval_seconds
            if watch.rows is None:
                watch.reason = f"a second census tells, {due - first_at:g} s after the first"
            await self._pause(watch.over, max(0.0, due - self._clock()))
            if self._clock() - watch.heard_at > QUIET_SECONDS:
                return
            reading = await self._take(watch, first)
            if first is not None and reading is not None:
                watch.compare(first, reading, self._clock() - first_at, self._wall())

    async def _take(self, watch: _Watch, first: Reading | None) -> Reading | None:
        """A reading, as soon as one may be taken; None when there is no sense in further tries."""
        for attempt in range(TRIES):
            if attempt:
                await self._pause(watch.over, RETRY_SECONDS)
            async with self._one_at_a_time:
                if watch.over.is_set():
                    return None
                refusal = self._refusal(watch)
                if refusal is None:
                    began = self._clock()
                    try:
                        reading = await self._read(watch, first)
                    except NoCensus as error:
                        refusal = "failed", str(error)
                    else:
                        self.taken[watch.topic] += 1
                        log.info("census_taken", **_who(watch), seconds=round(self._clock() - began, 3))
                        return reading
                self._refuse(watch, *refusal)
                if refusal[0] == "gone":
                    return None
        return None

    async def _read(self, watch: _Watch, first: Reading | None) -> Reading:
        count = self._counts.get(watch.topic)
        if count is not None:
            try:
                counts = await asyncio.to_thread(count, watch.worker)
            except OSError as error:
                raise NoCensus(f"{watch.topic} of process {watch.key.pid} may not be read: {error}") from None
            return without_numbers(counts) if watch.topic == "threads" else counts
        path = self._socket_of(watch.key)
        if path is None:
            raise NoCensus(f"Process {watch.key.pid} has no probe any more")
        if watch.topic == "coroutines":
            return await self._tasks(path, watch.key.pid)
        if not isinstance(first, Census):
            return await self._census(path, watch.key.pid)
        return await self._census(path, watch.key.pid, stride=first.stride, budget_bytes=AGAIN_BUDGET_BYTES)

    def _refusal(self, watch: _Watch) -> tuple[str, str] | None:
        """Why nothing is to be taken now: a word, and a sentence."""
        told_by_probe = watch.topic == "resources"
        if watch.topic in self._counts and not (told_by_probe and watch.worker.probe is None):
            gone = self._policy.has_gone(watch.key)
            return ("gone", f"process {watch.key.pid} has ended") if gone else None
        if self._socket_of(watch.key) is None:
            missing = watch.worker.missing.get("probe", "this worker has none")
            return "probe", f"only a probe knows what grows: {missing}"
        return self._policy.refusal(watch.worker, watch.key)

    def _refuse(self, watch: _Watch, word: str, sentence: str) -> None:
        self.refused[word] += 1
        if watch.reason != sentence:
            watch.reason = watch.refused = sentence
            log.info("census_refused", **_who(watch), reason=sentence)


def _topic(worker: WorkerSample, kind: str) -> Topic | None:
    """What is looked for: a heap of V8's cannot be counted while it lives, but what keeps its loop going is."""
    topic = TOPICS.get(kind)
    of_node = "node" in (tells.runtime for tells in (worker.probe, worker.observed) if tells is not None)
    return "resources" if topic == "types" and of_node else topic


def _who(watch: _Watch) -> dict[str, object]:
    return {
        "target": watch.worker.target,
        "worker": watch.worker.slot,
        "pid": watch.key.pid,
        "of": watch.topic,
    }
