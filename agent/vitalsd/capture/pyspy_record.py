"""
One run of `py-spy record --nonblocking --format raw`: started with limits, watched, ended, and what it came to.

It runs at nice 10 and ends with the agent. Asked to end it writes what it has; so does one that takes more than
MOST_SHARE of a core, and one whose process ends. At each look the process is looked at too, see capture/held.py.

It reads the symbols of the interpreter first, which takes a second or more where others have the processors. Its
time counts from when it is ready for the signal that ends it: before, that would end it with nothing.
"""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections import deque
from pathlib import Path

import msgspec

from vitalsd.capture.confined import Confined, Limits, until_ended
from vitalsd.capture.engines.registry import CaptureError, Job
from vitalsd.capture.held import HeldWatch
from vitalsd.capture.pyspy import explain
from vitalsd.capture.threadtimes import ThreadTimes, read_thread_times

__all__ = ["MOST_SHARE", "NoLockError", "Part", "Plan", "record"]

MOST_SHARE = 0.3
SHARE_SECONDS = 3.0
SHARE_LOOK_SECONDS = 0.25
WATCH_SECONDS = 0.05
"""A look costs the agent 0.1 ms. At 10 ms they took one percent of a host that had no processor to spare."""
START_SECONDS = 5.0
"""Until py-spy has found its way; it reads the symbols of the interpreter first."""
END_SECONDS = 5.0
ADDRESS_SPACE_BYTES = 1 << 30
"""py-spy maps the interpreter's files beside 33 MB of its own."""
MOST_RAW_BYTES = 32 << 20
OUTPUT_BYTES = 4096


class Plan(msgspec.Struct, frozen=True):
    """What to record."""

    lock_only: bool
    """Only the thread that holds the interpreter lock, else every one that runs."""
    rate: int
    """Samples a second."""
    seconds: float


class NoLockError(CaptureError):
    """py-spy does not know who holds the interpreter lock in this build of Python, only who runs."""


class Part(msgspec.Struct, frozen=True):
    """What was recorded."""

    lock_only: bool
    rate: int
    seconds: float
    used: ThreadTimes | None
    """By the process and its threads meanwhile; not known where it has ended."""
    source: Path
    profiler_seconds: float
    """Of a processor, for py-spy itself."""
    ended_early: str | None


async def record(command: str, name: str, plan: Plan, job: Job, held: HeldWatch) -> Part:
    """Run it, in the job's folder. Raises CaptureError; whatever happens it does not run afterwards."""
    source, output = job.folder / f"{name}.raw", job.folder / f"{name}.out"
    whole = [
        *(command, "record", "--nonblocking", "--format", "raw", "--threads", "--full-filenames"),
        *("--rate", str(plan.rate), "--pid", str(job.subject.pid), "--output", str(source)),
        # It is told when to end. This is for the case that nobody does.
        *("--duration", str(math.ceil(plan.seconds + START_SECONDS))),
        *(["--gil"] if plan.lock_only else []),
    ]
    cpu_seconds = math.ceil(START_SECONDS + plan.seconds * 2 * MOST_SHARE)
    limits = Limits(ADDRESS_SPACE_BYTES, min(MOST_RAW_BYTES, job.most_bytes), cpu_seconds)
    began = time.monotonic()
    spy = Confined(whole, limits, output)
    try:
        await _begun(spy, job, held, began)
        ready, before = time.monotonic(), _times(job)
        ended_early = await _watch(spy, job, held, plan.seconds, ready)
        seconds, after = time.monotonic() - ready, _times(job)
        await until_ended(spy, END_SECONDS, f"py-spy did not end for process {job.subject.pid}", held.look)
    finally:
        await spy.end()
    if spy.code != 0 or not source.exists():
        raise _failure(job.subject.pid, spy, output)
    output.unlink()
    used = after.since(before) if after is not None and before is not None else None
    return Part(plan.lock_only, plan.rate, seconds, used, source, spy.cpu_seconds(), ended_early)


def _times(job: Job) -> ThreadTimes | None:
    return read_thread_times(job.subject.pid, job.subject.proc)


async def _begun(spy: Confined, job: Job, held: HeldWatch, began: float) -> None:
    """Until it is ready to be ended, or nobody wants it any more."""
    while spy.poll() is None and not spy.catches(signal.SIGINT) and not job.stop.is_set():
        if time.monotonic() - began >= START_SECONDS:
            return  # that will be told
        held.look()
        await asyncio.sleep(WATCH_SECONDS)


async def _watch(spy: Confined, job: Job, held: HeldWatch, seconds: float, began: float) -> str | None:
    """Until it is to end, and tell it so; why that was early, if it was."""
    costs: deque[tuple[float, float]] = deque([(began, spy.cpu_seconds())])
    while spy.poll() is None:
        held.look()
        now = time.monotonic()
        if now - began >= seconds or job.stop.is_set():
            spy.signal(signal.SIGINT)
            return None if now - began >= seconds else f"it was asked to end after {now - began:.1f} s"
        if now - costs[-1][0] >= SHARE_LOOK_SECONDS:
            costs.append((now, spy.cpu_seconds()))
            while now - costs[1][0] >= SHARE_SECONDS:
                costs.popleft()
            since, before = costs[0]
            if now - since >= SHARE_SECONDS and costs[-1][1] - before > MOST_SHARE * (now - since):
                spy.signal(signal.SIGINT)
                return f"py-spy took more than {MOST_SHARE:.0%} of a core and was ended after {now - began:.1f} s"
        await asyncio.sleep(WATCH_SECONDS)
    return f"the process ended after {time.monotonic() - began:.1f} s" if spy.code == 0 else None


def _failure(pid: int, spy: Confined, output: Path) -> CaptureError:
    code = spy.code or 0
    if code == -signal.SIGINT:
        return CaptureError(f"The profile of process {pid} was ended before py-spy had begun")
    if code == -signal.SIGXCPU:
        return CaptureError(f"py-spy used up the processor time that it may take for process {pid}")
    if code == -signal.SIGXFSZ:
        return CaptureError(f"The stacks of process {pid} are more than the profile may take of the disk")
    if code < 0:
        return CaptureError(f"py-spy was killed by signal {-code} while it looked at process {pid}: try again")
    with output.open("rb") as file:
        said = file.read(OUTPUT_BYTES).decode("utf-8", "replace")
    kind = NoLockError if "detect gil" in said.lower() else CaptureError
    return kind(str(explain(pid, code, said)))
