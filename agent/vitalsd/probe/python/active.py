"""
The probe once it is active: one thread that builds the rest, watches the loops, and publishes the process's own
numbers once a second.

The thread is started below `threading`, whose list of threads belongs to the service, with all signals blocked, so
that none is delivered to it in place of a thread of the service. It is stopped before every fork and before the
interpreter ends. It imports nothing: a child forked meanwhile would inherit an import lock that nobody releases,
so all imports happen above, in the thread of the service that first needs this module. A fork waits until the
thread is gone for the kernel too: the first of a process that ends opens a library for that, without the
interpreter's lock, and a child of that moment could never open one again.
"""

from __future__ import annotations

import atexit
import os
from _signal import SIG_BLOCK, SIG_SETMASK, pthread_sigmask, valid_signals  # type: ignore[import-not-found]
from time import monotonic, thread_time

from . import counts, layout, trackload
from .allstacks import all_stacks
from .census import census
from .control import Control
from .deferring import Deferred
from .errors import CHANNELS, Errors
from .gcspans import GcSpans
from .heap import NOTHING, UNKNOWN, Heap
from .held import measured
from .instruments import Instruments
from .lifecycle import WHOLE_LIFE, RLock, allocate_lock, get_native_id, sleep, start_new_thread
from .loops import Loops
from .protocol import CENSUS, REFERRERS, STACKS, TASKS, TRACK
from .referrers import referrers
from .segment import Segment
from .selectormeter import cost_per_iteration
from .stalls import StallBook, threshold_from_environment
from .tasklist import tasks
from .track import track
from .watchdog import Watchdog

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

NOTHING_OF_NODE = (UNKNOWN, UNKNOWN, UNKNOWN)
"""Of V8's heap limit, memory outside of it, and warnings of listeners."""
ERRORS_OF_NODE = (UNKNOWN,) * (len(layout.ERROR_CHANNELS) - len(CHANNELS))
PUBLISH_SECONDS = 0.25 if WHOLE_LIFE else 1.0
PUBLISH_AT_REST_SECONDS = 0.25 if WHOLE_LIFE else 2.0
PUBLISH_ASLEEP_SECONDS = 4.0
READY_LOOK_SECONDS = 0.001
AT_FORK_PATIENCE_SECONDS = AT_EXIT_PATIENCE_SECONDS = 0.1
"""How long a fork or the end of the process waits for the thread to leave, at the very most: it takes 0.1 ms."""
OPENING_PATIENCE_SECONDS = 1.0
"""The same where it is in the middle of opening memray's libraries, once in the life of a process: 20 ms."""
GONE_LOOK_SECONDS = 0.00002


class Active:
    """Everything the probe has in one process."""

    loops: Loops = None  # type: ignore[assignment]
    """Set before `ready` becomes true."""

    def __init__(self, not_before: float, failed: Callable[[], None], resume: Callable[[], None]) -> None:
        self.resume_soon = Deferred(resume, failed)
        """Has `resume` called once the interpreter has counted the threads of what has just forked."""
        self._not_before = not_before
        self._failed = failed
        self.ready = False
        self.waiting: list[Any] = []
        """Loops that started before this was ready."""
        self._stop: Any = None
        self._done: Any = None
        self._native = 0
        """The kernel's number of the thread."""
        self._segment: Segment | None = None
        self._control: Control | None = None
        self._parts: list[Any] = []
        self._thread_cpu = 0.0
        self._busy = self._errors_before = self._published_at = 0.0
        self._fails = False
        """Whether there were errors before the last publication: how many is told while they come."""
        self._turning: Any = RLock()
        """Held while the thread is stopped or started, by whichever thread of the service forks."""
        self._paused, self._ended = True, False
        self._off = ""
        self._instruments = Instruments()

    def _start_thread(self) -> None:
        previous = self._done
        self._stop, self._done = allocate_lock(), allocate_lock()
        self._stop.acquire()
        self._done.acquire()
        before = pthread_sigmask(SIG_BLOCK, valid_signals())
        try:
            start_new_thread(self._run, (self._stop, self._done, previous))
        except Exception:
            self._done.release()
            raise
        finally:
            pthread_sigmask(SIG_SETMASK, before)

    def pause(self, patience_seconds: float = AT_FORK_PATIENCE_SECONDS) -> None:
        """Ask the thread to leave and wait for it, a little; several threads may do so at once."""
        held = self._turning.acquire(True, patience_seconds)
        try:
            self._paused = True
            self._ask_to_leave()
            done = self._done
        finally:
            if held:
                self._turning.release()
        if trackload.opening:
            patience_seconds = OPENING_PATIENCE_SECONDS
        if done is not None and done.acquire(True, patience_seconds):
            done.release()
            self._await_gone(patience_seconds)

    def _await_gone(self, patience_seconds: float) -> None:
        until = monotonic() + patience_seconds
        while os.access("/proc/self/task/%d" % self._native, os.F_OK) and monotonic() < until:
            sleep(GONE_LOOK_SECONDS)

    def resume(self) -> None:
        """Start it, unless it runs, since somebody else was faster, or the process is about to end."""
        with self._turning:
            if self._paused and not self._ended:
                self._paused = False
                self._start_thread()

    def await_ready(self, patience_seconds: float) -> bool:
        """Wait until loops can be measured, a little; the answer is whether they can."""
        until = monotonic() + patience_seconds
        while not (self.ready or self._off) and monotonic() < until:
            sleep(READY_LOOK_SECONDS)
        return self.ready

    def _ask_to_leave(self) -> None:
        if self._stop is not None and self._stop.locked():
            self._stop.release()
        if self._control is not None:
            self._control.wake()

    def attach_waiting(self) -> None:
        """Have every loop that waits for it attach itself in its own thread."""
        while True:
            try:
                loop = self.waiting.pop()
            except IndexError:
                return  # the other thread that does this was faster, or there is none left
            try:
                loop.call_soon_threadsafe(self.loops.attach, loop)
            except RuntimeError:
                pass  # it has been closed already

    def abandon(self, problem: str) -> None:
        """Something is wrong: unhook all, tell the agent by the segment, stay silent for good."""
        self._off = self._off or problem or "unknown"
        try:
            self._unhook()
        finally:
            if self._segment is not None:
                self._segment.turn_off(self._off)
            self._ask_to_leave()  # the thread tells it once more, and copies it to a disk
        if self._done is None or not self._done.locked():
            self._last_words()  # there is no thread just now

    def _unhook(self) -> None:
        self.ready = False
        if self.loops is not None:
            self.loops.unhook_all()
        for part in self._parts:
            part.stop()

    def forget(self) -> None:
        """In a forked child: leave loops and hooks as they were, and the parent's segment to the parent."""
        self._unhook()
        trackload.after_fork()
        if self._control is not None:
            self._control.close()
        if self._segment is not None:
            self._segment.forget_in_child()

    def _at_exit(self) -> None:
        try:
            self._ended = True  # whatever forks after this
            self.pause(AT_EXIT_PATIENCE_SECONDS)
            if WHOLE_LIFE and self.ready and not self._done.locked():
                self._publish(monotonic())
                self._copy_to_disk()
            self._unhook()
            if self._control is not None:
                self._control.close()
            if self._segment is not None and not WHOLE_LIFE:
                self._segment.remove()
        except BaseException:
            pass

    def _run(self, stop: Any, done: Any, previous: Any) -> None:
        try:
            if previous is not None:
                previous.acquire()
                previous.release()
            self._native = get_native_id()
            if self._sleep(stop, self._not_before - monotonic()):
                return
            if self._segment is None:
                self._build()
            self._watch(stop)
        except BaseException:
            self._failed()
        finally:
            if self._off and self._segment is not None:
                self._segment.turn_off(self._off)  # this thread may have been in the middle of telling its numbers
            self._last_words()
            done.release()

    def _last_words(self) -> None:
        if self._off and self._control is not None:
            self._instruments.read("control", self._control.close)
        self._copy_to_disk()

    def _copy_to_disk(self) -> None:
        if self._segment is not None:
            self._instruments.read("segment", self._segment.copy_to_disk)

    @staticmethod
    def _sleep(stop: Any, seconds: float) -> bool:
        """Whether to stop, after at most `seconds`."""
        return bool(stop.acquire(True, max(0.0, seconds)))

    def _build(self) -> None:
        threshold = threshold_from_environment()
        segment = Segment(threshold, self._instruments.read("memray", lambda: trackload.find()[0], ""))
        self._segment = segment
        stalls = StallBook(segment, threshold)
        self._heap = Heap()
        self._gcspans = GcSpans(self._heap.after_full_collection)
        self._errors = Errors()
        self._parts = [self._gcspans, self._errors]
        self.loops = Loops(segment, stalls, self._gcspans, cost_per_iteration(), self._failed)
        self._tasks = counts.Tasks(self.loops.objects)
        self._pools = counts.Pools(segment)
        self._watchdog = Watchdog(self.loops, stalls)
        self._control = Control(
            {
                CENSUS: lambda stride, budget: measured(census(stride, budget)),
                TASKS: lambda _stride, _budget: tasks(self.loops.objects),
                REFERRERS: lambda _stride, name: measured(referrers(name)),
                STACKS: lambda _stride, _budget: all_stacks(),
                TRACK: lambda milliseconds, most: track(milliseconds, most, self.loops.objects),
            }
        )
        atexit.register(self._at_exit)
        self.ready = True
        self.attach_waiting()

    def _watch(self, stop: Any) -> None:
        earlier_cpu = self._thread_cpu
        """Of the threads before this one: forks end them."""
        control = self._control
        assert control is not None
        assert self._segment is not None
        mapped = self._segment.mapped
        publish_at = look_at = 0.0
        while True:
            now = monotonic()
            if now >= publish_at:
                self._thread_cpu = earlier_cpu + thread_time()
                self._publish(now)
                publish_at = now + self._publish_seconds(now)
            if now >= look_at:
                look_at = now + self._watchdog.look(now)
                if not self._watchdog.all_wait:
                    publish_at = min(publish_at, now + PUBLISH_SECONDS)  # it may be at work again
                if not mapped:
                    self._copy_to_disk()
            rest = control.step(now, self._watchdog.stalling)
            if mapped and not WHOLE_LIFE and self._watchdog.may_sleep(now) and control.can_wait(now):
                stopped = control.await_call(stop, publish_at - now)
                look_at = 0.0
            else:
                stopped = stop.acquire(True, min(rest, look_at - now))
            if stopped:
                self._thread_cpu = earlier_cpu + thread_time()
                return

    def _publish_seconds(self, now: float) -> float:
        if self._fails:
            return PUBLISH_SECONDS
        if self._watchdog.may_sleep(now) and not WHOLE_LIFE:
            return PUBLISH_ASLEEP_SECONDS
        return PUBLISH_AT_REST_SECONDS if self._watchdog.at_rest else PUBLISH_SECONDS

    def _listen(self) -> None:
        if self._control is not None and self._segment is not None:
            self._control.keep(self._segment.path)

    def _publish(self, now: float) -> None:
        segment, loops, read = self._segment, self.loops, self._instruments.read
        assert segment is not None
        if read("renewal", segment.renew):
            read("renewal", loops.attach_again)
        read("lock", segment.keep_lock)
        read("control", self._listen)
        read("errors", self._errors.hook)
        read("origins", lambda: self._errors.tell(segment))
        read("gc", self._gcspans.check)
        read("loops", self._watchdog.count_waiting)
        busy, errors = loops.busy_seconds, self._errors.total
        self._watchdog.adapt(now, (busy - self._busy) / max(now - self._published_at, PUBLISH_SECONDS))
        self._fails = errors > self._errors_before
        self._busy, self._errors_before, self._published_at = busy, errors, now
        pools = read("executors", counts.executors)
        if pools is not None:
            read("pools", lambda: self._pools.tell(pools))
        segment.tell(
            (
                now,
                float(loops.unwatched),
                *read("heap", self._heap.read, NOTHING),
                *NOTHING_OF_NODE,
                read("tasks", lambda: self._tasks.count(now), UNKNOWN),
                read("threads", counts.threads, UNKNOWN),
                *(counts.total(pools) if pools is not None else (UNKNOWN,) * 3),
                self._thread_cpu + loops.own_seconds + self._gcspans.own_seconds,
                *self._errors.counts.values(),
                *ERRORS_OF_NODE,
                *self._gcspans.values(),
            ),
            self._instruments.problems,
        )
