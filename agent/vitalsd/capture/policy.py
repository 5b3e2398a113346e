"""
Whether a capture may be taken now: of what is wanted, what is known and the captures of before, a refusal or none.

Pure. First what protects the service, which holds for everybody: its own state, the room it has, the host, an
engine that does harm there, the disk, the queue. Then what protects from too much of it, which `force` sets aside:
cooldown and budget. The captures of before are all there is to know, so a restart of the agent changes nothing.

Stacks take a moment, and those of an incident that says something else than the last are evidence that nobody has
yet: they wait for no cooldown, as long as half of the hour's budget is left for all else. Nor does an incident's
evidence wait for what a person has asked for, which may have shown nothing of it.

The cooldown is there so that what is taken by itself does not repeat itself. A person knows what for: who asks
waits for no cooldown that an incident or an alert has begun, and for that of people, of the same worker, a minute
at most; for stacks not at all.

A sentence is read later, too: it names the capture that is in the way and no time that passes. When another may be
asked for is `retry_after_seconds`, and how one is had at once each face says in its own words.

A time that lies in the future, since a clock was set back, counts as if it lay as far in the past: it keeps nobody
waiting for longer than twice what it should, and nothing is forgotten that would count otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vitalsd.capture.breaker import open_breaker
from vitalsd.capture.model import ACTIVE, Capture, Refusal, Wanted
from vitalsd.settings.model import Capture as CaptureSettings
from vitalsd.settings.units import format_duration, format_size

__all__ = ["HOST_MEMORY", "Facts", "full_disk", "refusal", "uses_budget"]

HOST_MEMORY = "the host's memory"
HOUR_SECONDS = 3600.0
MOST_BUSY = 0.2
"""What is three times as slow is then busy for 60 %, which still answers."""
MAX_THREADS = 200
"""py-spy #872: with 159 threads a job of 1.5 s took 7.6 s and more."""
SPARE_DESCRIPTORS = 8
"""A capture takes up to four of the service's for a moment; its last ones are its own."""
LIGHT_BYTES = 16 << 20
"""What is to be left whatever is taken: py-spy may run in the service's own control group, and takes 8 MiB."""
HEAVY_HEAPS = 2
"""What is to be left for what may take as much again as lives in the heap, and once more to write it."""
CPU_PRESSURE_PERCENT = 80.0
"""Of many cores somebody always waits for one: PSI alone does not tell that from a host that is overrun."""
MEMORY_PRESSURE_PERCENT = 20.0
"""A fifth of the time somebody waits for memory: systemd-oomd begins to kill at three fifths."""
AGENT_LATE_SECONDS = 0.5
FRESH_SHARE = 0.5
"""Of the hour's budget: beyond, what is new waits for its cooldown like all else."""
PERSON_SECONDS = 60.0
"""The cooldown between what people ask for of one kind and worker: a key that is pressed twice is one wish."""
MOST_WAITING = 8
"""One is taken at a time, so the last of these is a minute or more away from what it was asked for."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a worker, of its host and of this agent at one moment; None is not known."""

    state: str | None
    """The kernel's letter, `?` where this agent does not see it; None when the process has ended."""
    threads: int | None = None
    late_seconds: float | None = None
    """For how long its loop has been stalling; None where none does."""
    busy_share: float | None = None
    """Of the last minute, of the loop that is busiest."""
    heap_bytes: int | None = None
    left_bytes: int | None = None
    """Until it, its group or the host has no more memory."""
    left_of: str = "its memory limit"
    """Whose memory that is."""
    open_fds: int | None = None
    max_fds: int | None = None
    cpu_pressure_percent: float | None = None
    """PSI: of the last ten seconds, in how much somebody has waited."""
    memory_pressure_percent: float | None = None
    load: float | None = None
    """Of the last minute."""
    cores: int = 1
    agent_late_seconds: float = 0.0
    free_bytes: int | None = None
    """Of the disk that captures are stored on."""
    own_left_bytes: int | None = None
    """What programs may take that are started beside this agent; None where its own memory has no limit."""


def refusal(
    wanted: Wanted,
    facts: Facts,
    recent: Sequence[Capture],
    settings: CaptureSettings,
    now: float,
    *,
    heavy: bool,
    engine: str,
    heaps: float = HEAVY_HEAPS,
    holds_seconds: float | None = None,
    beside_bytes: int = 0,
) -> Refusal | None:
    """Why there is none now; `recent` are all captures of the last day or more, latest first."""
    if settings.per_hour == 0:
        return Refusal("budget", "capture.per_hour is 0, so nothing is captured at all: set it higher")
    return (
        _of_worker(wanted, facts, engine)
        or _of_price(wanted, facts, settings, engine, holds_seconds, heavy=heavy)
        or _of_room(wanted, facts, heaps if heavy else None)
        or _of_own_room(facts, engine, beside_bytes)
        or _of_host(facts, settings.max_load)
        or _of_engine(wanted, engine, recent, now)
        or _of_disk(facts, settings)
        or _of_queue(recent)
        or (None if wanted.force else _of_too_much(wanted, recent, settings, now))
    )


def _of_worker(wanted: Wanted, facts: Facts, engine: str) -> Refusal | None:
    pid = wanted.key.own_number
    if facts.state is None:
        return Refusal("gone", f"process {pid} has ended: ask for the worker that came in its place")
    if facts.state in "Tt":
        return Refusal("stopped", f"process {pid} is stopped, and left alone until it goes on")
    if facts.late_seconds is not None and wanted.kind in ("memory", "heap"):
        late = f"the event loop of process {pid} has been stalling for {facts.late_seconds:.2f} s"
        return Refusal("stalling", f"{late}, and `{wanted.kind}` would hold it longer: take `stacks` or `cpu` now")
    if _is_pyspy(engine) and facts.threads is not None and facts.threads > MAX_THREADS:
        many = f"process {pid} has {facts.threads} threads: beyond {MAX_THREADS} {engine} may slow it down"
        return Refusal("threads", f"{many}; with the probe in it, its own stacks can be had")
    return None


def _of_price(
    wanted: Wanted,
    facts: Facts,
    settings: CaptureSettings,
    engine: str,
    holds_seconds: float | None,
    *,
    heavy: bool,
) -> Refusal | None:
    """What a person may ask for all the same."""
    if wanted.asked_by == "person":
        return None
    if holds_seconds is None:
        return _of_load(wanted, facts, engine) if heavy else None
    is_last = _is_last_evidence(wanted)
    if holds_seconds <= settings.max_hold or (is_last and settings.near_heap_limit):
        return None
    told = f"{engine} would hold process {wanted.key.own_number} for some {holds_seconds:.1f} s"
    most = f"capture.max_hold is {format_duration(settings.max_hold)}"
    ask = f"`vitalsd capture {wanted.kind}` takes one all the same"
    key = ", and with capture.near_heap_limit one is taken by itself before V8 ends it" if is_last else ""
    return Refusal("hold", f"{told}, and {most}: {ask}{key}")


def _is_last_evidence(wanted: Wanted) -> bool:
    """Whether V8 is about to end the process, and its heap, with all that is in it."""
    return wanted.asked_by == "incident" and wanted.kind == "heap" and wanted.about == "heap_exhaustion"


def _of_load(wanted: Wanted, facts: Facts, engine: str) -> Refusal | None:
    """Nobody has asked for the price: what is tracked takes three times as long meanwhile."""
    slow = f"{engine} makes it up to three times as slow meanwhile"
    ask = f"`vitalsd capture {wanted.kind}` takes one all the same"
    if facts.busy_share is None:
        return Refusal("busy", f"it is not known how busy process {wanted.key.own_number} is, and {slow}: {ask}")
    if facts.busy_share <= MOST_BUSY:
        return None
    busy = f"the event loop of process {wanted.key.own_number} is busy for {facts.busy_share:.0%} of the time"
    return Refusal("busy", f"{busy}, and {slow}; {MOST_BUSY:.0%} is the most for that: {ask}")


def _is_pyspy(engine: str) -> bool:
    return engine.replace("-", "").startswith("pyspy")


def _of_room(wanted: Wanted, facts: Facts, heaps: float | None) -> Refusal | None:
    """`heaps` is how many times its heap must be left for what is heavy, None for what is not."""
    opened, most = facts.open_fds, facts.max_fds
    if opened is not None and most is not None and most - opened < SPARE_DESCRIPTORS:
        told = f"{opened} of the {most} file descriptors of process {wanted.key.own_number} are open"
        return Refusal("descriptors", f"{told}, and {SPARE_DESCRIPTORS} must be free: raise that limit")
    if heaps is None:
        left, least, what = facts.left_bytes, LIGHT_BYTES, "any capture"
        if left is None:
            return None
    elif facts.heap_bytes is None or facts.left_bytes is None:
        unknown = "how large its heap is" if facts.heap_bytes is None else f"what is left of {facts.left_of}"
        advice = "take a lighter form, or see `vitalsd doctor` for what it may not read"
        return Refusal("headroom", f"it is not known {unknown}, so nothing is taken that needs memory: {advice}")
    else:
        left, least = facts.left_bytes, max(round(heaps * facts.heap_bytes), LIGHT_BYTES)
        times = "twice" if heaps == HEAVY_HEAPS else f"{heaps:g} times"
        what = f"{times} its heap of {_mib(facts.heap_bytes)}"
    if left >= least:
        return None
    told = f"only {_mib(left)} are left of {facts.left_of}, and {_mib(least)} must be for {what}"
    more = "free some of it" if facts.left_of == HOST_MEMORY else "raise it"
    advice = f"take a lighter form, or {more}" if heaps is not None else more
    return Refusal("headroom", f"{told}: {advice}")


def _of_own_room(facts: Facts, engine: str, beside_bytes: int) -> Refusal | None:
    left = facts.own_left_bytes
    if left is None or left >= beside_bytes:
        return None
    takes = f"{engine} takes {_mib(beside_bytes)} beside this agent"
    return Refusal("own_memory", f"{takes}, and {_mib(left)} are left for that of the agent's own limit: raise it")


def _of_host(facts: Facts, max_load: int) -> Refusal | None:
    advice = "ask again when it is quieter"
    waits = facts.memory_pressure_percent
    if waits is not None and waits >= MEMORY_PRESSURE_PERCENT:
        told = f"on this host somebody waits for memory {waits:.0f} % of the time, and captures are taken below"
        return Refusal("overload", f"{told} {MEMORY_PRESSURE_PERCENT:.0f} %: {advice}")
    # Load alone counts those who wait for a disk, too.
    waits = facts.cpu_pressure_percent
    crowded = facts.load is not None and facts.load > max_load * facts.cores
    if crowded and (waits is None or waits >= CPU_PRESSURE_PERCENT):
        psi = "" if waits is None else f", and somebody waits for one {waits:.0f} % of the time"
        told = f"the load of this host is {facts.load:.1f} on {facts.cores} processors{psi}"
        most = f"{max_load * facts.cores} is the most for a capture (capture.max_load is {max_load})"
        return Refusal("overload", f"{told}; {most}: {advice}")
    if facts.agent_late_seconds >= AGENT_LATE_SECONDS:
        told = f"this agent itself is {facts.agent_late_seconds:.2f} s late"
        return Refusal("overload", f"{told}, so the host has no time for a capture: {advice}")
    return None


def _of_engine(wanted: Wanted, engine: str, recent: Sequence[Capture], now: float) -> Refusal | None:
    opened = open_breaker(wanted.target, engine, wanted.kind, recent, now)
    if opened is None:
        return None
    where = f"for `{wanted.kind}` of {wanted.target}"
    told = f"{engine} is not used {where} for some time, since {opened.reason}"
    return Refusal("breaker", f"{told}; `vitalsd doctor` shows what else would do", opened.rest_seconds)


def _of_disk(facts: Facts, settings: CaptureSettings) -> Refusal | None:
    problem = full_disk(facts.free_bytes, settings)
    return Refusal("disk", problem) if problem is not None else None


def full_disk(free_bytes: int | None, settings: CaptureSettings) -> str | None:
    """Why nothing is captured while so little of the disk is free, if that is so."""
    if free_bytes is None or free_bytes >= settings.keep_free:
        return None
    told = f"only {_mib(free_bytes)} of the disk are free, and capture.keep_free is"
    return f"{told} {format_size(settings.keep_free)}: make room, or set it lower"


def _of_queue(recent: Sequence[Capture]) -> Refusal | None:
    waiting = sum(capture.state == "waiting" for capture in recent)
    if waiting < MOST_WAITING:
        return None
    told = f"{waiting} captures are waiting, and one is taken at a time"
    return Refusal("queue", f"{told}: ask again when they are done, or cancel some (`vitalsd captures`)")


def _of_too_much(
    wanted: Wanted, recent: Sequence[Capture], settings: CaptureSettings, now: float
) -> Refusal | None:
    return _of_cooldown(wanted, recent, settings, now) or _of_budget(wanted, recent, settings, now)


def _of_cooldown(
    wanted: Wanted, recent: Sequence[Capture], settings: CaptureSettings, now: float
) -> Refusal | None:
    """From the end of one to the next: the service has its peace in between."""
    by_person = wanted.asked_by == "person"
    if by_person and wanted.kind == "stacks":
        return None
    cooldown = min(settings.cooldown, PERSON_SECONDS) if by_person else settings.cooldown
    may_be_fresh = wanted.kind == "stacks" and wanted.asked_by == "incident" and wanted.about != ""
    may_be_fresh = may_be_fresh and len(_of_this_hour(recent, now)) < FRESH_SHARE * settings.per_hour
    for capture in recent:
        if (capture.target, capture.kind) != (wanted.target, wanted.kind) or not _counts(capture):
            continue
        if may_be_fresh and capture.about != wanted.about:
            continue
        if (wanted.asked_by, capture.asked_by) == ("incident", "person"):
            continue
        if by_person and (capture.asked_by, capture.worker) != ("person", wanted.worker):
            continue
        active = capture.state in ACTIVE
        ended_at = now if active or capture.ended_at is None else capture.ended_at
        rest = cooldown - abs(now - ended_at)
        if rest > 0:
            whom = f"{wanted.target}/{wanted.worker}" if by_person else wanted.target
            every = f"`{wanted.kind}` of {whom} is taken once in {format_duration(cooldown)}"
            every += " for people" if by_person else " (capture.cooldown)"
            latest = f"capture {capture.id} is {capture.state}" if active else f"the last was capture {capture.id}"
            return Refusal("cooldown", f"{every}, and {latest}", rest + _still_takes(capture, now))
    return None


def _still_takes(capture: Capture, now: float) -> float:
    """How long one that waits or runs goes on for, if nobody ends it early; nothing for what has ended."""
    return max(0.0, capture.seconds - _age(capture, now)) if capture.state in ACTIVE else 0.0


def uses_budget(kind: str, asked_by: str) -> bool:
    """Whether `capture.per_hour` is about it: stacks take a moment, and whoever looks may go on looking."""
    return (kind, asked_by) != ("stacks", "person")


def _of_budget(wanted: Wanted, recent: Sequence[Capture], settings: CaptureSettings, now: float) -> Refusal | None:
    """By when they began, so that no hour has more beginnings than that, whenever it is said to start."""
    if not uses_budget(wanted.kind, wanted.asked_by):
        return None
    ages = _of_this_hour(recent, now)
    excess = len(ages) - settings.per_hour
    if excess < 0:
        return None
    rest = HOUR_SECONDS - sorted(ages, reverse=True)[excess]
    told = f"{len(ages)} captures of the last hour have used up capture.per_hour, which is {settings.per_hour}"
    return Refusal("budget", told, rest)


def _of_this_hour(recent: Sequence[Capture], now: float) -> list[float]:
    """The ages of those that count in the budget."""
    counted = (each for each in recent if _counts(each) and uses_budget(each.kind, each.asked_by))
    return [age for each in counted if (age := _age(each, now)) < HOUR_SECONDS]


def _counts(capture: Capture) -> bool:
    """Whether it was begun, or will be: what was refused or cancelled before costs nobody anything."""
    return capture.state in ACTIVE or (capture.state != "refused" and capture.started_at is not None)


def _age(capture: Capture, now: float) -> float:
    return 0.0 if capture.started_at is None else abs(now - capture.started_at)


def _mib(size: int) -> str:
    return f"{max(0, size) >> 20} MiB"
