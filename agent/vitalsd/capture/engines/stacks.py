"""
The stack engines: what every thread of a Python process is doing right now, and what its asyncio tasks wait for;
or the main thread of a Node process, which its probe tells.

`py-spy dump --nonblocking` is the first: it needs nothing in the process, answers in 10 ms and half a millisecond
a thread, and sees one that native code keeps from running anything of Python. What it needs is the right to
ptrace. Where that is missing the probe tells by its control socket, within a second or so, unless native code
holds the lock. Tasks only the probe knows, so it is asked for those in either case; without one the page says so.

The pause of py-spy is what capture/held.py says; of the probe, the longest time it held the interpreter, which it
measures itself.
"""

from __future__ import annotations

import asyncio
import time

import msgspec
from msgspec.structs import replace

from vitalsd.capture.census import NoCensus, TaskList, list_tasks, socket_of
from vitalsd.capture.engines.registry import CaptureError, Fit, Job, Made, Subject, register
from vitalsd.capture.held import HeldWatch
from vitalsd.capture.model import CaptureKind
from vitalsd.capture.ours import OUR_THREAD, is_ours
from vitalsd.capture.probe_fit import fit_of_probe, is_node
from vitalsd.capture.probe_stacks import list_stacks
from vitalsd.capture.pyspy import DumpError, ThreadStack, dump
from vitalsd.capture.pyspy_fit import fit_of_pyspy
from vitalsd.capture.stacktext import StackReport, as_json, as_text, summary_of
from vitalsd.settings.model import Settings

__all__ = ["ProbeStackEngine", "PySpyStacks", "Seen", "made_of"]

TEXT, JSON = "stacks.txt", "stacks.json"
FILES = {TEXT: "text/plain; charset=utf-8", JSON: "application/json"}
DUMP_SECONDS = 20.0
"""A thousand threads took 0.6 s."""
MOST_BYTES = 12 << 20
"""Of py-spy's answer: 2,500 threads seventeen calls deep."""
TASK_SECONDS = 8.0
LOOK_SECONDS = 0.002


class Seen(msgspec.Struct, frozen=True):
    """What an engine saw."""

    engine: str
    at: float
    threads: list[ThreadStack]
    untold: int
    pause_seconds: float


@register
class PySpyStacks:
    """The stacks as py-spy reads them from the process's memory."""

    name = "py-spy"
    kind: CaptureKind = "stacks"
    rank = 0

    def __init__(self, settings: Settings) -> None:
        pass

    def fit(self, subject: Subject) -> Fit:
        """Whether py-spy may look."""
        return fit_of_pyspy(subject, "py-spy reads the stacks of all threads from outside, and stops nothing")

    async def take(self, job: Job) -> Made:
        """Look once."""
        pid = job.subject.pid
        tasks = asyncio.ensure_future(_tasks(job.subject))
        held = HeldWatch(pid, job.subject.proc)
        watching = asyncio.ensure_future(_watch(held))
        try:
            taken_at = time.time()
            threads = [_named(thread) for thread in await dump(pid, DUMP_SECONDS, most_bytes=MOST_BYTES)]
            watching.cancel()
            listed, reason = await tasks
        except DumpError as error:
            raise CaptureError(str(error)) from None
        finally:
            watching.cancel()
            tasks.cancel()
            await asyncio.wait([watching, tasks])
            held.close()
        return made_of(job, Seen(self.name, taken_at, threads, 0, held.longest_seconds), listed, reason)


@register
class ProbeStackEngine:
    """The stacks as the probe tells them."""

    name = "probe"
    kind: CaptureKind = "stacks"
    rank = 1

    def __init__(self, settings: Settings) -> None:
        pass

    def fit(self, subject: Subject) -> Fit:
        """Whether there is a probe to ask."""
        does = (
            "its probe tells the stack of its main thread"
            if is_node(subject)
            else "its probe tells the stacks of all threads, within a second or so"
        )
        return fit_of_probe(subject, does, runtime=None)

    async def take(self, job: Job) -> Made:
        """Ask the probe, once for each."""
        assert job.subject.segment is not None
        taken_at = time.time()
        try:
            told = await list_stacks(socket_of(job.subject.segment), job.subject.pid)
        except NoCensus as error:
            raise CaptureError(str(error)) from None
        listed, reason = await _tasks(job.subject)
        seen = Seen(self.name, taken_at, told.threads, told.untold, told.held_seconds)
        return made_of(job, seen, listed, reason)


async def _tasks(subject: Subject) -> tuple[TaskList | None, str | None]:
    """The tasks, or why they are not known; neither where there is no probe to ask."""
    if subject.segment is None or is_node(subject):
        return None, None
    try:
        return await list_tasks(socket_of(subject.segment), subject.pid, patience=TASK_SECONDS), None
    except NoCensus as error:
        return None, str(error)


def _named(thread: ThreadStack) -> ThreadStack:
    """The probe's own thread has no name that Python knows, and would puzzle whoever finds it."""
    frames = thread.frames
    if thread.name or not is_ours(frames):
        return thread
    return replace(thread, name=OUR_THREAD)


async def _watch(held: HeldWatch) -> None:
    while True:
        held.look()
        await asyncio.sleep(LOOK_SECONDS)


def made_of(job: Job, seen: Seen, tasks: TaskList | None, no_tasks_reason: str | None) -> Made:
    """Write the page and the JSON of what was seen."""
    worker = job.subject.worker
    report = StackReport(
        f"{worker.target}/{worker.slot}",
        job.subject.key.own_number,
        seen.at,
        seen.engine,
        seen.threads,
        seen.untold,
        tasks,
        no_tasks_reason,
        has_tasks=not is_node(job.subject),
    )
    (job.folder / TEXT).write_text(as_text(report), encoding="utf-8")
    (job.folder / JSON).write_bytes(as_json(report))
    return Made(FILES, seen.pause_seconds, summary_of(report))
