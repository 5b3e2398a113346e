"""
Why a loop was late: one ordered list of tests over the evidence of a stall, of which the first that fits wins.

What would make all others wrong comes first. Signals and thresholds are those of facts/measurement.md, B4 and B5.
A test stays silent about what it is not told, so any part of the evidence will do. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from vitalsd.detect.culprit import AGREE_SHARE, COMMON_SHARE
from vitalsd.detect.machinery import Origin
from vitalsd.detect.signals import LITTLE_CPU_SHARE, Signals
from vitalsd.detect.words import duration, name, of, percent
from vitalsd.model import STOPPED, Cause, Doing, Frame, StallEvidence, Verdict

__all__ = ["TESTS", "decide"]

LATE_SHARE = 0.5
"""B5 step 0: of the stall, the agent itself late."""
MOST = 0.5
"""Of the looks or of the time: what it did for most of the stall."""
COMPUTES_SHARE = 0.7
"""B5 step 5. B4 has .99 to 1.0 for computation and at most .43 for anything else."""
MAJOR_FAULTS_PER_SECOND = 50
"""B5 step 2."""
DISK_SHARE = 0.25
"""Of the looks, in a call to a file: B4 has .73, a fast disk half of that."""
DISK_OF_WAITS = 0.8
"""Of the looks that do not find it running."""
PAGE_WAIT_SHARE = 0.25
"""Of the looks, blocked outside any call, or in state D: B4 has .57."""
MEMORY_PRESSURE_SHARE = 0.1
"""Pages that come back soon after they were taken count as pressure; those read for the first time do not."""
SWAPPED_BYTES = 1 << 20
"""Nearly every process on a host with swap has a few pages there."""
RUNQUEUE_SHARE = 0.2
"""B5 step 4. B4 has .53 to .59 for a busy host and for a quota, at most .03 for anything else."""
ITSELF_SECONDS = 0.1
"""Of processor time: a callback that needs so much is a stall without anybody's help."""
LONG_ITSELF_SECONDS = 0.3
"""So much of it is the callback's own fault, whatever share of the time others had the processor."""
LONGEST_WAIT_SECONDS = 2.0
"""No scheduler lets a thread wait for so long: a loop that is not known to have stood still has turned, slowly."""
THROTTLED_SHARE = 0.3
THROTTLED_PERIODS_SHARE = 0.5
"""B5 step 4: a quota is used up for so much of the time, or in so many of its periods."""
GC_SHARE = 0.5
"""B5 step 5."""
READY_CALLBACKS = 100
"""B5 step 5: more than so many callbacks were waiting their turn."""
FEW_CALLBACKS = 3
"""Begun while the stall was looked at: it was one of them, and not how many there were."""
AGREEING_SAMPLES = 2
"""One stack agrees with itself; it tells nothing about whether the loop turned."""
LONGEST_GUESS_SECONDS = 5.0
"""A loop that is not known to have stood still for so long is one that is never idle, more often than not."""
TURNS_SHARE = 0.02
"""Of the stacks, those that show Node's queue between two microtasks: in the midst of one callback none does."""
GIL_RATE = (0.6, 1.25)
"""B5 step 6, in switch intervals: a thread that wants the interpreter lock wakes up once in each to ask for it."""
WAITED_SHARE = 0.2
"""Of the looks: what was seen to wait for something else did not wait for a processor."""
NOTHING_SHARE = 0.1
"""Of the stall, on a processor: what computes for longer has had a share in it."""
ALSO_LATE_SHARE = 0.2
CROWDED_SHARE = 0.5
"""Of the time, somebody of its group or of the host waited for a processor."""
GIL_FUTEX_SHARE = 0.3
"""With one competitor a thread gets the lock for half of the time."""
SIBLING_CPU_SHARE = 0.25
"""B5 step 6 has .5 for one thread that holds the lock; the busiest of three, as in B4's other row, has a third."""


def decide(
    evidence: StallEvidence,
    *,
    switch_interval_seconds: float = 0.005,
) -> Verdict:
    """What one stall comes to, from any part of the evidence."""
    signals = Signals(evidence, switch_interval_seconds)
    for test in TESTS:
        verdict = test(signals)
        if verdict is not None:
            return verdict
    return unknown(signals)


def host_wide(s: Signals) -> Verdict | None:
    """The agent did not get to run either, unless the thread is known to have run meanwhile."""
    if s.late_share is None or s.late_share <= LATE_SHARE or (s.cpu_share or 0.0) >= COMPUTES_SHARE:
        return None
    if _late_alone(s):
        return None
    late = of(s.host.agent_late_seconds, s.seconds)
    return Verdict("host_wide", None, f"the agent itself was late by {late}, so the host is to blame")


def stopped(s: Signals) -> Verdict | None:
    """SIGSTOP, a debugger or a freezer; a debugger that lets it run is not what it waits for."""
    frozen = s.host.frozen_share or 0.0
    if frozen >= MOST:
        return Verdict("stopped", None, f"its cgroup is frozen (docker pause?) in {percent(frozen)} of the looks")
    share = s.state(*STOPPED)
    traced = s.thread is not None and s.thread.traced
    if share < MOST and not (traced and (share > 0 or not s.thread or not s.thread.states)):
        return None
    by = "by a debugger" if traced or s.state("t") >= MOST else "by a signal (SIGSTOP)"
    return Verdict("stopped", None, f"the process was stopped {by} in {percent(share)} of the looks")


def pages(s: Signals) -> Verdict | None:
    """Memory that was not there: it waits outside any call while major faults are counted."""
    waits = max(s.doing("blocked"), s.state("D") - s.doing("disk", "call", "sleep", "futex"))
    faults = s.thread.major_faults if s.thread is not None else None
    rate = s.rate(faults)
    many = rate is not None and rate > MAJOR_FAULTS_PER_SECOND and waits >= PAGE_WAIT_SHARE
    slow = s.doing("blocked") >= MOST and (faults is None or faults > 0)
    if not many and not slow:
        return None
    counted = f", with {rate:.0f} major page faults a second" if rate is not None else ""
    pressure = s.host.memory_pressure_share or 0.0
    swapped = s.host.swap_bytes or 0
    reason = f"{percent(waits)} of the looks found it waiting for memory{counted}"
    if pressure >= MEMORY_PRESSURE_SHARE:
        return Verdict("swap", None, f"{reason}, and {percent(pressure)} of the time under memory pressure")
    if swapped >= SWAPPED_BYTES:
        return Verdict("swap", None, f"{reason}, and {swapped / 1048576:.0f} MiB swapped out")
    return Verdict("page_faults", _whom(s), reason)


def disk_io(s: Signals) -> Verdict | None:
    """A call to a file, or a sleep that no signal ends where the call may not be read."""
    disk = s.doing("disk")
    waits = 1.0 - s.doing("running")
    # A fast disk has the kernel compute for much of the time; what is left of it is the disk's.
    mixed = disk >= DISK_SHARE and disk >= DISK_OF_WAITS * waits and (s.cpu_share or 0.0) < COMPUTES_SHARE
    if disk >= MOST or mixed:
        return Verdict(
            "disk_io", _whom(s), f"{_looks(s, 'disk')} found it in a call to a file{_peer(s)}{_within(s)}"
        )
    if s.state("D") >= MOST and s.doing("disk", "unknown") >= MOST:
        return Verdict(
            "disk_io", _whom(s), f"{percent(s.state('D'))} of the looks found it in disk sleep{_within(s)}"
        )
    return None


def no_processor(s: Signals) -> Verdict | None:
    """Ready to run and not let: by its quota, or by others. Work of its own that had the processor comes first."""
    share = s.runqueue_share
    elsewhere = s.doing("futex", "sleep", "call", "disk", "blocked")
    if share is None or share < RUNQUEUE_SHARE or share < elsewhere or (s.cpu_share or 0.0) >= COMPUTES_SHARE:
        return None
    if _late_alone(s):
        return None
    if s.sure and s.computed_seconds >= LONG_ITSELF_SECONDS:
        return None
    if not s.sure and s.seconds > LONGEST_WAIT_SECONDS:
        return None
    waited = f"its thread was ready to run and had to wait for {percent(share)} of the time"
    throttled, periods = s.throttled_share, s.throttled_periods_share
    if throttled is not None and throttled >= THROTTLED_SHARE:
        return Verdict(
            "cpu_throttled", None, f"{waited}, its cgroup's CPU quota was used up for {percent(throttled)} of it"
        )
    if periods is not None and periods >= THROTTLED_PERIODS_SHARE:
        counts = f"{s.host.throttled_periods} of {s.host.periods}"
        return Verdict("cpu_throttled", None, f"{waited}, its cgroup's CPU quota was used up in {counts} periods")
    if s.node and (s.gc_share or 0.0) >= GC_SHARE:
        return None  # V8 collects in several threads, which wait for each other's processors
    others = s.host.cpu_pressure_share
    pressure = f", and CPU pressure was {percent(others)}" if others is not None else ""
    return Verdict("cpu_contention", None, f"{waited}, without a quota in its way{pressure}")


def gc_pause(s: Signals) -> Verdict | None:
    """The collector says so itself."""
    if s.gc_share is None or s.gc_share < GC_SHARE:
        return None
    if s.evidence.gc_seconds is None and s.doing("running", "futex") < MOST:
        return None  # another thread collected while this one was waiting for something else
    if s.evidence.gc_seconds is not None:
        told = f"for {of(s.evidence.gc_seconds, s.seconds)}"
    else:
        told = f"in {percent(s.gc_share)} of the looks at the interpreter"
    return Verdict("gc_pause", None, f"the garbage collector ran {told}")


def computes(s: Signals) -> Verdict | None:
    """Its thread ran all the time."""
    cpu = s.cpu_share
    if cpu is not None and cpu >= COMPUTES_SHARE:
        return _computation(s)
    long = s.computed_seconds >= LONG_ITSELF_SECONDS
    if s.running >= COMPUTES_SHARE and (cpu is None or cpu >= LITTLE_CPU_SHARE or long):
        return _computation(s)
    return None


def idle(s: Signals) -> Verdict | None:
    """It waited for its loop's events; that is no stall, unless a probe says that it is one."""
    if s.sure or s.doing("loop") < MOST:
        return None
    return Verdict("unknown", None, f"{_looks(s, 'loop')} found it waiting for its loop's events", stall=False)


def interpreter_lock(s: Signals) -> Verdict | None:
    """In a futex, but waking up in the rhythm in which the interpreter lock is asked for."""
    futex = s.doing("futex")
    rate = s.rate(s.thread.voluntary_switches if s.thread is not None else None)
    if s.node or rate is None or futex < GIL_FUTEX_SHARE:
        return None
    low, high = (bound * s.switches_at_lock_per_second for bound in GIL_RATE)
    # Where it gets the lock now and then it asks only in between.
    if not low <= rate <= high and not low <= rate / futex <= high:
        return None
    sibling = s.thread.sibling_cpu_share if s.thread is not None else None
    if sibling is not None and sibling < SIBLING_CPU_SHARE:
        return None
    holder = s.holder.frame if s.holder is not None and s.holder.agreement >= COMMON_SHARE else None
    meanwhile = f" while another thread computed for {percent(sibling)} of the time" if sibling is not None else ""
    where = f" in {name(holder)}" if holder is not None else ""
    reason = (
        f"{_looks(s, 'futex')} found it in futex with {rate:.0f} voluntary switches a second{meanwhile}{where}"
    )
    return Verdict("gil_contention", holder, reason)


def lock_wait(s: Signals) -> Verdict | None:
    """In a futex and left there, or in Python's own lock classes."""
    if s.doing("futex") >= MOST:
        return Verdict("lock_wait", _whom(s), f"{_looks(s, 'futex')} found it waiting for a lock{_within(s)}")
    return None


def blocking_call(s: Signals) -> Verdict | None:
    """In a call that waits for somebody, or asleep."""
    asleep, calling = s.doing("sleep"), s.doing("call")
    if asleep + calling < MOST or _waits_for_events(s):
        return None
    kind: Doing = "sleep" if asleep >= calling else "call"
    what = "asleep" if kind == "sleep" else f"in a call that waits{_peer(s)}"
    if asleep and calling:
        what = f"asleep or in a call that waits{_peer(s)}"
    return Verdict("blocking_call", _whom(s), f"{_looks(s, 'sleep', 'call')} found it {what}{_within(s)}")


def waits_by_stack(s: Signals) -> Verdict | None:
    """Without a look at its calls: the stack tells what Python code waits for, the clock that it does wait."""
    if s.doing("unknown") < MOST and s.looks:
        return None
    cpu = s.cpu_share
    if not s.samples or (cpu is not None and cpu >= MOST):
        return None
    spent = f", and it computed for only {_computed(s)}" if cpu is not None else ""
    causes: tuple[tuple[str, Cause, str], ...] = (
        ("lock", "lock_wait", "waiting for a lock"),
        ("disk", "disk_io", "reading or writing files"),
        ("call", "blocking_call", "waiting for a peer or a child"),
    )
    for wait, cause, words in causes:
        share = next((share for kind, share in s.waits.items() if kind == wait), 0.0)
        if share >= MOST:
            seen = f"{percent(share)} of {s.samples} stacks show" if s.samples > 1 else "its stack shows"
            return Verdict(cause, _whom(s), f"{seen} it {words}{_within(s)}{spent}")
    in_code = 1.0 - s.waits.get("loop", 0.0)
    if in_code >= MOST and _asleep_by_stack(s):
        waited = f"computed for only {_computed(s)}" if cpu is not None else "was asleep"
        return Verdict("blocking_call", _whom(s), f"its thread {waited} and spent the rest waiting{_within(s)}")
    return None


def computes_mostly(s: Signals) -> Verdict | None:
    """More of it was computation than anything else."""
    if (s.cpu_share if s.cpu_share is not None else s.running) >= MOST:
        return _computation(s)
    return None


def crowded(s: Signals) -> Verdict | None:
    """Late, and not seen to do or wait for anything, on a host on which somebody always waits for a processor."""
    cpu = s.cpu_share
    unseen = min(s.doing("unknown"), 1.0 - s.state("R")) if s.looks else 0.0
    waits = s.doing("futex", "sleep", "call", "disk", "blocked") + unseen
    if cpu is None or cpu >= NOTHING_SHARE or waits > WAITED_SHARE:
        return None
    seen = f"it computed for only {_computed(s)}, and nothing was seen that it waited for"
    late, pressure = s.late_share or 0.0, s.host.cpu_pressure_share or 0.0
    if late >= ALSO_LATE_SHARE:
        own = of(s.host.agent_late_seconds, s.seconds)
        return Verdict("host_wide", None, f"{seen}, while the agent was late by {own} too")
    if pressure >= CROWDED_SHARE:
        return Verdict("cpu_contention", None, f"{seen}, while CPU pressure was {percent(pressure)}")
    return None


def unknown(s: Signals) -> Verdict:
    """What no test fits, with what there was to see."""
    parts = []
    if s.cpu_share is not None:
        parts.append(f"it computed for {_computed(s)}")
    if s.looks and s.thread is not None:
        seen = sorted(s.thread.doing.items(), key=lambda item: -item[1])
        told = ", ".join(f"{kind} {count}" for kind, count in seen if count > 0)
        parts.append(f"{s.looks} looks found it in: {told}")
    if s.samples:
        parts.append(f"{s.samples} stacks were taken")
    seen_words = "; ".join(parts) if parts else "nothing was seen of it but that it was late"
    return Verdict("unknown", _whom(s), f"no test of the causes fits: {seen_words}")


TESTS: tuple[Callable[[Signals], Verdict | None], ...] = (
    host_wide,
    stopped,
    pages,
    disk_io,
    no_processor,
    gc_pause,
    computes,
    idle,
    interpreter_lock,
    lock_wait,
    blocking_call,
    waits_by_stack,
    computes_mostly,
    crowded,
)


def _late_alone(s: Signals) -> bool:
    """Whether it computed for so long that it would have been late with a processor of its own too."""
    share = max(MOST, ITSELF_SECONDS / max(s.seconds, ITSELF_SECONDS))
    return (s.cpu_share or 0.0) >= share and (s.sure or _agreed(s))


def _asleep_by_stack(s: Signals) -> bool:
    """
    Whether it slept in code whose stack does not tell for what.

    The kernel says so, or else only the clock, and that a thread did not compute has other reasons: it waited for
    a processor, or for a helper of V8's. Calls that wait are seen on a stack of Node, but not on one of Python.
    """
    if s.state("S", "D") >= MOST:
        return not (s.node and s.in_builtin_share >= MOST)
    crowded = (s.host.cpu_pressure_share or 0.0) >= CROWDED_SHARE or (s.late_share or 0.0) >= ALSO_LATE_SHARE
    return not s.node and s.cpu_share is not None and s.state("R") < MOST and not crowded


def _waits_for_events(s: Signals) -> bool:
    """A probe's loop, found waiting for its own events when somebody looked: whatever made it late was over."""
    in_epoll = s.thread is not None and s.thread.peer == "eventpoll"
    return s.probed and in_epoll and (not s.samples or s.waits.get("loop", 0.0) >= MOST)


def _computation(s: Signals) -> Verdict:
    """One long callback, a flood of short ones, or a loop that turns and is never idle."""
    spent = f"its thread computed for {_computed(s)}"
    agreed = _agreed(s)
    whom = _whom(s) if agreed else None  # of a flood, whoever happened to be seen is not the one
    if not s.sure and s.seconds > LONGEST_GUESS_SECONDS:
        return _turning(s, spent)
    turns = s.waits.get("loop", 0.0) >= TURNS_SHARE
    many = not agreed and not (s.sure and s.same_callback_share >= AGREE_SHARE)
    if s.node and s.microtask_share >= MOST and (_flooded(s) or many or turns):
        begin = f"{percent(s.microtask_share)} of its stacks begin in Node's microtask queue"
        who = s.flooder.frame if s.flooder is not None and s.flooder.agreement >= AGREE_SHARE else None
        return Verdict("microtask_flood", who, f"{spent}, and {begin}")
    if _flooded(s) and not s.node:
        counted = f", {s.ran} of which began while it was looked at" if s.ran is not None else ""
        return Verdict("ready_flood", whom, f"{spent} while {s.ready} callbacks were ready{counted}")
    if agreed:
        return Verdict("blocking_cpu", whom, f"{spent}{_within(s)}")
    if s.ran is not None and s.ran <= FEW_CALLBACKS:
        return Verdict("blocking_cpu", _whom(s), f"{spent} in one callback{_within(s)}")
    if s.samples == 0 and (s.sure or s.evidence.runtime != "python"):
        return Verdict("blocking_cpu", None, f"{spent}; no stack was taken")
    if not s.sure:
        return _turning(s, spent)
    if s.node or s.samples < AGREEING_SAMPLES:
        return Verdict("blocking_cpu", _whom(s), f"{spent}{_within(s)}")
    return Verdict("ready_flood", None, f"{spent}, and its {s.samples} stacks show no callback that lasted")


def _turning(s: Signals, spent: str) -> Verdict:
    """From outside, a saturated loop looks like a stall without end; only stacks that agree make it one."""
    why = "no stack was taken that would tell whether its loop turned"
    if s.samples and _agreed(s):
        why = "for so long a loop that is never idle looks the same, with one function in all of its stacks"
    elif s.samples:
        why = f"its {s.samples} stacks show no callback that lasted: its loop turns without ever being idle"
    if s.samples == 1:
        why = "one stack does not tell whether its loop turned"
    return Verdict("unknown", None, f"{spent}, but {why}", stall=False)


def _agreed(s: Signals) -> bool:
    """Whether the stacks show one callback; a framework, which all requests pass, is none for an observer."""
    if s.culprit is None or s.culprit.agreement < AGREE_SHARE:
        return False
    return s.sure or (s.samples >= AGREEING_SAMPLES and s.culprit.origin is not Origin.FRAMEWORK)


def _flooded(s: Signals) -> bool:
    """Many callbacks were ready, and it was not one of them that took all the time."""
    return s.ready is not None and s.ready > READY_CALLBACKS and (s.ran is None or s.ran > FEW_CALLBACKS)


def _whom(s: Signals) -> Frame | None:
    """The culprit, if most stacks show it."""
    return s.culprit.frame if s.culprit is not None and s.culprit.agreement >= COMMON_SHARE else None


def _within(s: Signals) -> str:
    culprit = _whom(s)
    return f" in {name(culprit)}" if culprit is not None else ""


def _computed(s: Signals) -> str:
    """`0.48 of 0.50 s`, by whichever clock there is."""
    if s.evidence.cpu_seconds is not None or s.thread is None:
        return of((s.cpu_share or 0.0) * s.seconds, s.seconds)
    if s.cpu_share is None:
        return f"{percent(s.running)} of {duration(s.seconds)}"
    return of(s.cpu_share * s.thread.seconds, s.thread.seconds)


def _looks(s: Signals, *kinds: Doing) -> str:
    """`30 of 31 looks`."""
    found = sum(max(0, s.thread.doing.get(kind, 0)) for kind in kinds) if s.thread is not None else 0
    return f"{found} of {s.looks} looks"


def _peer(s: Signals) -> str:
    return f" ({s.thread.peer})" if s.thread is not None and s.thread.peer else ""
