"""
The observer: one thread of the agent, apart from its loop, that looks at every loop of every worker.

Each 50 ms at all of them, 100 ms where all have a probe, and each 5 ms at one that does not come back, for two
seconds at most; less often where that would cost more than its share of a core. Ten workers without a probe cost
some 0.6 % of one, ten with a probe a quarter of that: caches are cold at each look.

Whom to follow is told by the daemon; what is found goes out through `notify`, in this thread.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from vitalsd.model import ObservedLoop, StallEvidence, WorkerKey
from vitalsd.sources.observer.budget import Budget
from vitalsd.sources.observer.calls import Calls
from vitalsd.sources.observer.events import Ended, Followed, Late
from vitalsd.sources.observer.glance import Glance
from vitalsd.sources.observer.probed import Probed
from vitalsd.sources.observer.unprobed import Unprobed
from vitalsd.sources.observer.watch import Setting, Watch
from vitalsd.sources.room import Descriptors

__all__ = ["Observer"]

log = structlog.get_logger(__name__)
INTERVAL_SECONDS = 0.05
BURST_SECONDS = 0.005
PROBED = 2.0
"""A stall that began right after a look is found before it is 130 ms old, and has its stack before 150 ms."""
NOBODY_SECONDS = 0.2
JOIN_SECONDS = 2.0
DESCRIPTORS = 256
LATE_SECONDS = 0.02
KEPT_LATE = 256
WENT_ON_SECONDS = 0.5
"""The main thread hears of SIGCONT, and not always before the observer's own looks."""


class Observer:
    """Watches workers until it is stopped."""

    def __init__(
        self,
        notify: Callable[[Late | Ended], None],
        *,
        threshold_seconds: float = 0.1,
        late_seconds: float = 0.1,
        budget_share: float = 0.007,
        proc: Path = Path("/proc"),
        descriptors: int = DESCRIPTORS,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
        own_clock: Callable[[], float] = time.process_time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        room = Descriptors(descriptors)
        self._setting = Setting(proc, Calls(), room, threshold_seconds, late_seconds, self._tell)
        self._notify = notify
        self._clock, self._cpu_clock, self._sleep = clock, cpu_clock, sleep
        self._own_clock = own_clock
        self._budget = Budget(budget_share, INTERVAL_SECONDS, BURST_SECONDS)
        self._wanted: dict[WorkerKey, Followed] = {}
        self._adopted: dict[WorkerKey, Followed] = {}
        self._unprobed: dict[WorkerKey, Unprobed] = {}
        self._probed: dict[WorkerKey, Probed] = {}
        self._watches: list[Watch] = []
        self._glance = Glance(())
        self._one_by_one: list[Watch] = []
        """Those at whom a glance is not enough: watched from outside, or their file could not be read yet."""
        self._rarer = 1.0
        self._restless: dict[Watch, None] = {}
        """Those with a time of their own to be looked at again."""
        self._base_at = 0.0
        self._woken_for = math.inf
        self._own_seconds = 0.0
        """Of processor time, of the whole agent, when it went to sleep."""
        self._late: deque[tuple[float, float]] = deque(maxlen=KEPT_LATE)
        """When a look was due that came late, and when it came."""
        self._went_on: deque[float] = deque(maxlen=KEPT_LATE)
        """When this process was continued that somebody had stopped."""
        self._problems: set[str] = set()
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def interval_seconds(self) -> float:
        """How often it looks at a loop that is not late."""
        return self._budget.interval_seconds * self._rarer

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="vitalsd-observer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a look that hangs in the kernel is left behind."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)
            self._thread = None

    def follow(self, workers: Sequence[Followed]) -> None:
        """Watch these, and nobody else, from the next look on."""
        self._wanted = {worker.key: worker for worker in workers}

    def reconfigure(self, threshold_seconds: float) -> None:
        """A stall is what lasts for so long: of a loop without a probe from its next stretch on."""
        self._setting.threshold_seconds = threshold_seconds

    def observed(self, key: WorkerKey) -> ObservedLoop | None:
        """The books of a loop without a probe; None before it was found."""
        watch = self._watch(key)
        return watch.observed() if watch is not None else None

    def in_progress(self, key: WorkerKey) -> tuple[StallEvidence, ...]:
        """What is known so far of stretches beyond the threshold."""
        watch = self._late_watch(key)
        return watch.in_progress() if watch is not None else ()

    def late(self, key: WorkerKey) -> tuple[StallEvidence, ...]:
        """Of these the stretches that are stalls for sure: a loop that turns and is never idle looks like one."""
        watch = self._late_watch(key)
        return watch.in_progress() if watch is not None and watch.certain else ()

    def settle(self, key: WorkerKey, since: float, was_stall: bool) -> None:
        """Tell what the stacks of a stretch have shown: a stall, or a loop that turns and is never idle."""
        watch = self._watch(key)
        if watch is not None:
            watch.settle(since, was_stall)

    def turned_at(self, key: WorkerKey) -> float:
        """
        CLOCK_MONOTONIC at which its loop was seen last to have turned, within a look; long ago where nobody knows.

        Node's words are written by another thread than its loop's.
        """
        watch = self._probed.get(key)
        return watch.turned_at if watch is not None and watch.runtime == "python" else -math.inf

    def late_seconds(self, since: float, until: float) -> float:
        """
        By how much it was late itself within this time, at the most: because of others.

        Not where it had been stopped, nor for as long as the agent itself was at work.
        """
        late = [each for each in list(self._late) if not self._was_stopped(*each)]  # its thread adds to it
        return max((min(until, came) - max(since, due) for due, came in late), default=0.0)

    def went_on(self) -> None:
        """This process was stopped, and continues now: that it was late says nothing of the host."""
        self._went_on.append(self._clock())

    def stood_still(self, since: float, until: float) -> bool:
        """Whether this process was stopped for some of this time."""
        late = list(self._late)
        return any(due < until and since < came and self._was_stopped(due, came) for due, came in late)

    def _was_stopped(self, due: float, came: float) -> bool:
        return any(due <= at <= came + WENT_ON_SECONDS for at in list(self._went_on))

    def missing(self, key: WorkerKey) -> str | None:
        """Why the loop of this worker cannot be watched; None when it can, or nobody knows yet."""
        watch = self._watch(key)
        if watch is not None:
            return watch.missing
        worker = self._adopted.get(key)
        return worker.loopless if worker is not None else None

    def missing_turns(self, key: WorkerKey) -> str | None:
        """Why the turns of this worker's loop cannot be read; None when they can, or nobody has tried yet."""
        watch = self._watch(key)
        return watch.missing_turns if watch is not None else None

    def tick(self) -> float:
        """All looks that are due; the answer is when the next one is."""
        # Ten times a second, with nothing of it in a cache: what is seldom needed stands elsewhere.
        now = self._clock()
        late = now - self._woken_for
        if late > LATE_SECONDS:
            late = self._late_of_itself(now, late)
        if self._wanted is not self._adopted:
            self._adopt()
        if now >= self._base_at:
            self._base_at = max(self._base_at + self._budget.interval_seconds * self._rarer, now)
            due = self._glance.not_calm(now, self._restless)
            if self._one_by_one:
                due += self._all_one_by_one()
        else:
            due = [watch for watch in self._restless if now >= watch.due_at]
        for watch in due:
            self._look(watch, max(0.0, late))
        upcoming = self._base_at if self._watches else now + NOBODY_SECONDS
        if self._restless:
            upcoming = min(upcoming, *(watch.due_at for watch in self._restless))
        if now >= self._budget.due_at:
            self._budget.spent(now, self._cpu_clock())
        self._woken_for, self._own_seconds = upcoming, self._own_clock()
        return upcoming

    def _late_of_itself(self, now: float, late: float) -> float:
        """How late this look is because of others: not for as long as the agent itself was at work."""
        late -= self._own_clock() - self._own_seconds
        if late > LATE_SECONDS:
            self._late.append((now - late, now))
        return late

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._sleep(max(0.0, self.tick() - self._clock()))
            except Exception as error:  # noqa: BLE001 - the agent goes on, and says so
                self._problem(f"{type(error).__name__}: {error}")
                self._sleep(INTERVAL_SECONDS)
        for watch in self._watches:
            watch.close()

    def _all_one_by_one(self) -> list[Watch]:
        """Those at whom a glance is not enough; one whose file is open by now has its last such look."""
        watches = self._one_by_one
        if any(isinstance(watch, Probed) and watch.descriptor >= 0 for watch in watches):
            self._set_out()
        return watches

    def _look(self, watch: Watch, late: float) -> None:
        now = self._clock()
        try:
            quiet = watch.look(now, late)
        except Exception as error:  # noqa: BLE001 - one worker must not take the others down
            self._problem(f"pid {watch.key.pid}: {type(error).__name__}: {error}")
            self._restless[watch] = None  # what it was in the middle of is not over
            watch.due_at = self._base_at
            return
        if quiet:
            watch.rest()
            self._restless.pop(watch, None)
            return
        self._restless[watch] = None
        if watch.bursting(now):
            watch.due_at = now + self._budget.burst_seconds
        else:
            watch.due_at = now + INTERVAL_SECONDS if watch.suspect else self._base_at

    def _adopt(self) -> None:
        """Follow whom the daemon wants; the books of a worker stay while it is followed, a probe or none."""
        wanted = self._wanted
        if wanted == self._adopted:
            self._adopted = wanted
            return
        probed, unprobed = dict(self._probed), dict(self._unprobed)
        for key, watch in self._probed.items():
            worker = wanted.get(key)
            if worker is None or worker.segment != watch.path:
                probed.pop(key).close()
        for key, without in self._unprobed.items():
            if key not in wanted:
                unprobed.pop(key).close()
            elif wanted[key].segment is not None and key not in probed:
                without.close()
        for key, worker in wanted.items():
            if worker.segment is not None and key not in probed:
                probed[key] = Probed(key, worker.segment, self._setting)
            elif worker.segment is None and worker.loopless is None and key not in unprobed:
                unprobed[key] = Unprobed(key, self._setting)
        self._probed, self._unprobed = probed, unprobed
        outside = [watch for key, watch in unprobed.items() if key not in probed]
        self._watches = [*probed.values(), *outside]
        self._restless = {watch: None for watch in self._watches if watch in self._restless}
        # Probes time their stalls themselves: fewer looks are enough to be there while one lasts.
        self._rarer = PROBED if self._watches and not outside else 1.0
        self._set_out()
        self._adopted = wanted

    def _set_out(self) -> None:
        """At whom a glance is enough, and at whom not, or not yet."""
        self._glance = Glance([watch for watch in self._probed.values() if watch.descriptor >= 0])
        self._one_by_one = [each for each in self._watches if not isinstance(each, Probed) or each.descriptor < 0]

    def _watch(self, key: WorkerKey) -> Watch | None:
        return self._probed.get(key) or self._unprobed.get(key)

    def _late_watch(self, key: WorkerKey) -> Watch | None:
        watch = self._watch(key)
        return watch if watch is not None and watch in self._restless else None

    def _tell(self, event: Late | Ended) -> None:
        try:
            self._notify(event)
        except Exception as error:  # noqa: BLE001 - who listens must not end who looks
            self._problem(f"notify: {type(error).__name__}: {error}")

    def _problem(self, text: str) -> None:
        """Log what went wrong, once."""
        if text not in self._problems and len(self._problems) < 100:
            self._problems.add(text)
            log.error("observer_failed", reason=text)
