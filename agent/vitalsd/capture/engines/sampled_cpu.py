"""
The CPU engine for a Node without a probe: the kernel samples its main thread, V8's memory tells the functions.

A hundred samples a second of processor time, so what rests costs nothing; the kernel takes some microseconds for
each, and the agent 0.2 ms. Nothing is stopped. The files are those of any profile. Needs what the stacks of stalls
need from outside (docs/permissions.md).
"""

from __future__ import annotations

import os
import time
from collections import Counter

from vitalsd import __version__
from vitalsd.capture import pauses
from vitalsd.capture.engines.registry import CaptureError, Fit, Job, Made, Subject, register
from vitalsd.capture.makers import MAKER_BYTES, have_made
from vitalsd.capture.model import CaptureKind
from vitalsd.capture.probe_fit import is_node
from vitalsd.capture.profiles import make
from vitalsd.capture.profiles.make import FLAMEGRAPH, FOLDED, SPEEDSCOPE, Digest, Request
from vitalsd.model import Frame
from vitalsd.settings.model import Settings
from vitalsd.sources.interpreter import NoV8StackError, V8Stacks
from vitalsd.sources.perf import NoSamplesError, ThreadSamples, why_unsampled

__all__ = ["SampledCpu"]

RATE = 100
READ_SECONDS = 0.05
"""The ring has room for seven samples, and what is read late may have been moved by V8's collector."""
MOST_STACKS = 5000
RAW = "perf.folded.txt"
MAKE_BYTES = 1 << 30
MAKE_SECONDS = 60
FILES = {FLAMEGRAPH: "image/svg+xml", SPEEDSCOPE: "application/json", FOLDED: "text/plain; charset=utf-8"}


@register
class SampledCpu:
    """Where the processor time of a Node's main thread goes, from outside."""

    name = "perf"
    kind: CaptureKind = "cpu"
    rank = 2

    def __init__(self, settings: Settings) -> None:
        self._usual_seconds = settings.capture.cpu_duration

    def fit(self, subject: Subject) -> Fit:
        """Whether it is a Node whose threads may be sampled."""
        if not V8Stacks(subject.proc).runs(subject.key):
            why = "it samples Node, and no V8 can be read in this process"
            return Fit(False, why, foreign=not is_node(subject))
        problem = why_unsampled(subject.pid)
        if problem is not None:
            return Fit(False, problem)
        does = f"the kernel samples the main thread {RATE} times a second, and stops nothing"
        return Fit(True, does, beside_bytes=MAKER_BYTES)

    async def take(self, job: Job) -> Made:
        """Sample, and make the files."""
        seconds = max(1.0, job.seconds or self._usual_seconds)
        try:
            samples = ThreadSamples(job.subject.pid, 1 / RATE)
        except NoSamplesError as why:
            raise CaptureError(str(why)) from None
        began, counted = time.monotonic(), _Counted(job.subject)
        try:
            while (left := began + seconds - time.monotonic()) > 0 and not job.stop.is_set():
                await pauses.pause(job.stop, min(left, READ_SECONDS))
                counted.read(samples)
        except NoV8StackError as why:
            raise CaptureError(str(why)) from None
        finally:
            samples.close()
        elapsed = time.monotonic() - began
        _write(job, counted.folded())
        digest = await _make(job, elapsed)
        (job.folder / RAW).unlink()
        return Made(FILES, 0.0, _summary(digest, counted, elapsed, early=job.stop.is_set()))


class _Counted:
    """Stacks, and how often each was seen."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._v8 = V8Stacks(subject.proc)
        self._stacks = Counter[tuple[Frame, ...]]()
        self.samples = self.unread = 0

    def read(self, samples: ThreadSamples) -> None:
        """Those since the last time."""
        came = samples.read()
        found = self._v8.sampled(self._subject.key, self._subject.pid, came)
        self.samples += len(came)
        for _, frames in found:
            if frames in self._stacks or len(self._stacks) < MOST_STACKS:
                self._stacks[frames] += 1
        self.unread = self.samples - self._stacks.total()

    def folded(self) -> str:
        """In the form that py-spy has, a line for each stack."""
        thread = f"thread ({self._subject.pid}): MainThread"
        lines = (
            f"{';'.join((thread, *map(_name, reversed(frames))))} {count}\n"
            for frames, count in self._stacks.most_common()
        )
        return "".join(lines)


def _name(frame: Frame) -> str:
    plain = " ".join(frame.function.replace(";", ":").split()), " ".join(frame.file.replace(";", ":").split())
    return f"{plain[0]} ({plain[1]}:{frame.line})"


def _write(job: Job, text: str) -> None:
    descriptor = os.open(job.folder / RAW, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as out:
        out.write(text)


async def _make(job: Job, elapsed: float) -> Digest:
    worker = job.subject.worker
    counts = "Counted was the main thread while it had a processor."
    name, exporter = f"{worker.target}/{worker.slot}", f"vitalsd {__version__}"
    request = Request((RAW,), name, RATE, elapsed, counts, exporter)
    return await have_made(job, make.__name__, request, Digest, memory_bytes=MAKE_BYTES, seconds=MAKE_SECONDS)


def _summary(digest: Digest, counted: _Counted, elapsed: float, *, early: bool) -> dict[str, object]:
    used = counted.samples / RATE
    summary: dict[str, object] = {
        "top_functions": digest.top_functions,
        "samples": digest.samples,
        "seconds": round(elapsed, 2),
        "rate": RATE,
        "counted": "main_thread",
        "idle_share": round(max(0.0, 1 - used / elapsed), 4),
        "unseen_share": round(counted.unread / counted.samples, 4) if counted.samples else 0.0,
        "threads": [{"name": one.name, "id": one.id, "share": 1.0} for one in digest.threads],
    }
    if counted.samples and not digest.samples:
        summary["no_samples_reason"] = "no sample has shown a function of JavaScript"
    elif not digest.samples:
        summary["no_samples_reason"] = "its main thread had no processor: the process was idle"
    if early:
        summary["ended_early"] = "somebody has asked for it"
    return summary
