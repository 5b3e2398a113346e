"""
The CPU engine for Node: V8's own profiler, by a session within the process, no port and no debugger.

The probe starts and stops it, and the agent makes of it what it makes of any profile. V8 looks two hundred times
a second at the main thread alone, where a Node service has its JavaScript: a saturated service did 2 % less
meanwhile for the processor time that it had, and 8 % less at a thousand times. To start, V8 walks its heap for
the code that is there, and holds the loop for 2 ms a MiB of it: where that is worth a word, whoever stops nothing
comes first. To stop, it holds for 5 to 20 ms. Both are measured in the service's own thread. A function that V8
had put into its caller before is told as the caller, at the line of the call.
"""

from __future__ import annotations

import msgspec

from vitalsd import __version__
from vitalsd.capture.engines.registry import Fit, Job, Made, Subject, register
from vitalsd.capture.makers import MAKER_BYTES, have_made
from vitalsd.capture.model import CaptureKind
from vitalsd.capture.probe_fit import fit_of_probe
from vitalsd.capture.profiles import make
from vitalsd.capture.profiles.make import CPUPROFILE, FLAMEGRAPH, FOLDED, SPEEDSCOPE, Digest, Request
from vitalsd.capture.streaming import Streamed, streamed
from vitalsd.probe.python.protocol import CPU
from vitalsd.settings.model import Settings

__all__ = ["V8Cpu"]

INTERVAL_MICROSECONDS = 5000
HOLD_SECONDS_PER_MIB = 0.002
"""Of the heap in use, garbage too: 0.0015 on a host at rest from 90 MiB on, `python -m bench holds_node`."""
LEAST_HOLD_SECONDS = 0.05
"""Below, it is no more than what any callback takes now and then."""
RAW = "v8.json"
MAKE_BYTES = 1 << 30
MAKE_SECONDS = 60
FILES = {
    FLAMEGRAPH: "image/svg+xml",
    CPUPROFILE: "application/json",
    SPEEDSCOPE: "application/json",
    FOLDED: "text/plain; charset=utf-8",
}


@register
class V8Cpu:
    """Where the time of a Node service's main thread goes."""

    name = "v8"
    kind: CaptureKind = "cpu"
    rank = 1

    def __init__(self, settings: Settings) -> None:
        self._usual_seconds = settings.capture.cpu_duration

    def fit(self, subject: Subject) -> Fit:
        """Whether there is a probe of Node that can be asked."""
        probe = subject.worker.probe
        heap = (probe.heap_used_bytes if probe is not None else None) or 0
        holds = HOLD_SECONDS_PER_MIB * heap / (1 << 20)
        does = "V8's profiler looks two hundred times a second, from within"
        if holds < LEAST_HOLD_SECONDS:
            return msgspec.structs.replace(fit_of_probe(subject, does, "node"), beside_bytes=MAKER_BYTES)
        fit = fit_of_probe(subject, f"{does}, and holds the process for some {holds:.1f} s as it begins", "node")
        return msgspec.structs.replace(fit, holds_seconds=holds, beside_bytes=MAKER_BYTES)

    async def take(self, job: Job) -> Made:
        """Profile, and make the files."""
        seconds = max(1.0, job.seconds or self._usual_seconds)
        wanted = CPU, round(seconds * 1e3), INTERVAL_MICROSECONDS
        came = await streamed(job, wanted, job.folder / RAW, job.most_bytes, seconds)
        request = Request(
            (RAW,),
            f"{job.subject.worker.target}/{job.subject.worker.slot}",
            1e6 / INTERVAL_MICROSECONDS,
            came.seconds,
            "Counted was the main thread while it did not wait.",
            f"vitalsd {__version__}",
            v8_thread=str(job.subject.pid),
        )
        digest = await have_made(
            job, make.__name__, request, Digest, memory_bytes=MAKE_BYTES, seconds=MAKE_SECONDS
        )
        return Made(FILES, came.held_seconds, _summary(digest, came, early=job.stop.is_set()))


def _summary(digest: Digest, came: Streamed, *, early: bool) -> dict[str, object]:
    seconds = digest.seconds or came.seconds
    summary: dict[str, object] = {
        "top_functions": digest.top_functions,
        "samples": digest.samples,
        "seconds": round(seconds, 2),
        "rate": round(digest.rate, 2),
        "counted": "main_thread",
        "idle_share": round(min(1.0, digest.idle_seconds / seconds), 4) if seconds else 0.0,
        "threads": [{"name": one.name, "id": one.id, "share": 1.0} for one in digest.threads],
    }
    if not digest.samples:
        summary["no_samples_reason"] = "nothing ran in its main thread whenever V8 looked: the process was idle"
    if early:
        summary["ended_early"] = "somebody has asked for it"
    return summary
