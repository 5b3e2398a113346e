"""
The CPU engine: `py-spy record --nonblocking` beside the process, and a flame graph made of what it saw.

py-spy reads the stacks of all threads from the process's memory, 16 us a frame, and nothing is stopped: twenty
idle threads seventeen calls deep at 100 Hz are 56 % of a core, and fifty are more than one. With `--gil` it looks
at the one thread that holds the interpreter lock, 0.1 ms a sample and 3.5 us a thread. So it begins with that.
What it cannot see then is time that native code spends without the lock, in `hashlib` or numpy; if after
LOOK_SECONDS the kernel has counted far more processor time than the samples explain, the rest is taken of every
thread that runs, as often as ACTIVE_SHARE of a core allows. The summary says which it was, and what share of the
time is in no sample.

The files are made in another process. `pause_seconds` is what capture/held.py says. Needs the right to ptrace.
"""

from __future__ import annotations

from vitalsd import __version__
from vitalsd.capture.confined import ConfinedError
from vitalsd.capture.engines.registry import CaptureError, Fit, Job, Made, Subject, register
from vitalsd.capture.held import HeldWatch
from vitalsd.capture.makers import MAKER_BYTES, have_made
from vitalsd.capture.model import CaptureKind
from vitalsd.capture.profiles import folded, make
from vitalsd.capture.profiles.make import FLAMEGRAPH, FOLDED, SPEEDSCOPE, Digest, Request
from vitalsd.capture.pyspy import NoDump, find_pyspy
from vitalsd.capture.pyspy_fit import fit_of_pyspy
from vitalsd.capture.pyspy_record import ADDRESS_SPACE_BYTES, NoLockError, Part, Plan, record
from vitalsd.capture.threadtimes import ThreadTimes, read_thread_times, together
from vitalsd.settings.model import Settings

__all__ = ["PySpyCpu"]

RATE, LEAST_RATE = 100, 5
LOOK_SECONDS = 2.0
ACTIVE_SHARE = 0.15
"""Of a core, for py-spy: by the two costs below the rate is lowered to that."""
LOCK_COST_SECONDS, ACTIVE_COST_SECONDS = 3.5e-6, 3e-4
"""Of one sample for each thread, with `--gil` and without; measured with stacks of seventeen frames."""
UNSEEN_SHARE, UNSEEN_CORE = 0.4, 0.05
"""Of the process's time, and of a core: so much that is in no sample is worth the dearer way."""
MAKE_SECONDS = 60
WORDS = {
    True: "Counted was the thread that held the interpreter lock.",
    False: "Counted was every thread that ran.",
}
FILES = {FLAMEGRAPH: "image/svg+xml", SPEEDSCOPE: "application/json", FOLDED: "text/plain; charset=utf-8"}


@register
class PySpyCpu:
    """Where the processor time of a Python process goes."""

    name = "py-spy"
    kind: CaptureKind = "cpu"
    rank = 0

    def __init__(self, settings: Settings, command: str | None = None) -> None:
        self._usual_seconds = settings.capture.cpu_duration
        self._command = command

    def fit(self, subject: Subject) -> Fit:
        """Whether py-spy may look."""
        does = f"py-spy looks up to {RATE} times a second, from outside, and stops nothing"
        return fit_of_pyspy(subject, does, MAKER_BYTES)

    async def take(self, job: Job) -> Made:
        """Record, and make the files."""
        held = HeldWatch(job.subject.pid, job.subject.proc)
        try:
            return await self._take(job, held)
        except (NoDump, ConfinedError) as error:
            raise CaptureError(str(error)) from None
        finally:
            held.close()

    async def _take(self, job: Job, held: HeldWatch) -> Made:
        seconds = max(1.0, job.seconds or self._usual_seconds)
        command = self._command or find_pyspy()
        times = _times(job.subject)
        try:
            look = await record(command, "look", _plan(times, min(seconds, LOOK_SECONDS)), job, held)
        except NoLockError:
            look = await record(command, "look", _plan(times, seconds, lock_only=False), job, held)
        parts = [look]
        left = seconds - look.seconds
        if look.ended_early is None and left > 1.0:
            times = _times(job.subject)
            plan = _plan(times, left, lock_only=look.lock_only)
            wider = _plan(times, left, lock_only=False)
            if wider.rate >= LEAST_RATE and _unexplained(look):
                plan, parts = wider, []
            parts.append(await record(command, "rest", plan, job, held))
        digest = await _make(job, parts)
        for file in job.folder.iterdir():
            if file.name not in FILES:
                file.unlink()
        summary = _summary(parts, digest)
        if held.stopped:
            summary["stopped_meanwhile"] = "somebody had stopped the process for some of the time (state T)"
        return Made(FILES, held.longest_seconds, summary)


def _times(subject: Subject) -> ThreadTimes:
    times = read_thread_times(subject.pid, subject.proc)
    if times is None:
        raise CaptureError(f"Process {subject.pid} has ended")
    return times


def _plan(times: ThreadTimes, seconds: float, *, lock_only: bool = True) -> Plan:
    """As often as the share of a core allows, for so many threads."""
    cost = (LOCK_COST_SECONDS if lock_only else ACTIVE_COST_SECONDS) * max(1, times.thread_count)
    return Plan(lock_only, max(1, min(RATE, int(ACTIVE_SHARE / cost))), seconds)


def _unexplained(part: Part) -> bool:
    """Whether the process has used far more time than is in the samples."""
    if part.used is None:
        return False
    used_seconds = part.used.process_seconds
    with part.source.open("rb") as file:  # line by line: of deep stacks it has megabytes, and this is the agent
        unseen = used_seconds - _seen_seconds([part], folded.count(file))
    return unseen > max(UNSEEN_SHARE * used_seconds, UNSEEN_CORE * part.seconds)


def _seen_seconds(parts: list[Part], samples: int) -> float:
    """The time that samples stand for."""
    return samples / _rate(parts)


def _rate(parts: list[Part]) -> float:
    return sum(part.rate * part.seconds for part in parts) / sum(part.seconds for part in parts)


async def _make(job: Job, parts: list[Part]) -> Digest:
    """The files, made in another process."""
    request = Request(
        tuple(part.source.name for part in parts),
        f"{job.subject.worker.target}/{job.subject.worker.slot}",
        round(_rate(parts), 2),
        sum(part.seconds for part in parts),
        WORDS[parts[-1].lock_only],
        f"vitalsd {__version__}",
    )
    return await have_made(
        job, make.__name__, request, Digest, memory_bytes=ADDRESS_SPACE_BYTES, seconds=MAKE_SECONDS
    )


def _summary(parts: list[Part], digest: Digest) -> dict[str, object]:
    """What a person wants to know of it; docs/api.md has each in words."""
    seconds = sum(part.seconds for part in parts)
    summary: dict[str, object] = {
        "top_functions": digest.top_functions,
        "samples": digest.samples,
        "seconds": round(seconds, 2),
        "rate": round(_rate(parts), 2),
        "counted": "interpreter_lock" if parts[-1].lock_only else "running_threads",
        "profiler_cpu_share": round(sum(part.profiler_seconds for part in parts) / seconds, 4),
    }
    times: dict[str, float] = {}
    known = [part.used for part in parts if part.used is not None]
    if len(known) == len(parts):
        times, used = together(known).threads, together(known).process_seconds
        summary["cpu_seconds"] = round(used, 2)
        summary["idle_share"] = round(max(0.0, 1 - used / seconds), 4)
        if used > 0:
            summary["unseen_share"] = round(max(0.0, 1 - _seen_seconds(parts, digest.samples) / used), 4)
    summary["threads"] = [
        {"name": one.name, "id": one.id, "share": round(one.samples / digest.samples, 4)}
        | ({"cpu_seconds": round(times[one.id], 2)} if one.id in times else {})
        for one in digest.threads
    ]
    if not digest.samples:
        summary["no_samples_reason"] = "nothing of Python ran whenever py-spy looked: the process was idle"
    early = [part.ended_early for part in parts if part.ended_early]
    if early:
        summary["ended_early"] = early[0]
    return summary
