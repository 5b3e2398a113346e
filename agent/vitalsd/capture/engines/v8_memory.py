"""
The memory engine for Node: V8's sampling heap profiler, by a session within the process.

Of what is allocated while it runs it takes one sample in 32 KiB, and tells in the end of those whose objects are
still there: what is not given back, by the function that has allocated it. What was allocated in the last third of
the time is no site's, since it may be garbage. To start, to look and to stop hold the loop for some 5 ms each,
which is measured there. Where somebody else samples already there is none: V8 has one such profiler for all.
"""

from __future__ import annotations

from msgspec.structs import replace

from vitalsd.capture.engines.memray import compare, read_sites
from vitalsd.capture.engines.registry import Fit, Job, Made, Subject, register
from vitalsd.capture.makers import MAKER_BYTES, have_made
from vitalsd.capture.memray_report import TOP_SITES
from vitalsd.capture.model import CaptureKind
from vitalsd.capture.probe_fit import fit_of_probe
from vitalsd.capture.streaming import streamed
from vitalsd.capture.v8 import allocations
from vitalsd.capture.v8.allocations import HEAPPROFILE, RAW, AllocationsRequest, Sites
from vitalsd.probe.python.protocol import ALLOCATIONS
from vitalsd.settings.model import Settings

__all__ = ["V8Memory"]

SAMPLE_BYTES = 32 << 10
MAKE_BYTES = 1 << 30
MAKE_SECONDS = 60
FILES = {HEAPPROFILE: "application/json", TOP_SITES: "application/json"}


@register
class V8Memory:
    """Allocations that stay, by function."""

    name = "v8"
    kind: CaptureKind = "memory"
    rank = 20

    def __init__(self, settings: Settings) -> None:
        self._usual_seconds = settings.capture.memory_duration

    def fit(self, subject: Subject) -> Fit:
        """Whether there is a probe of Node that can be asked."""
        fit = fit_of_probe(subject, "V8 samples what is allocated and stays, from within", "node")
        return replace(fit, beside_bytes=MAKER_BYTES)

    async def take(self, job: Job) -> Made:
        """Sample, make the files, and compare."""
        seconds = max(1.0, job.seconds or self._usual_seconds)
        wanted = ALLOCATIONS, round(seconds * 1e3), SAMPLE_BYTES
        came = await streamed(job, wanted, job.folder / RAW, job.most_bytes, seconds)
        settled = came.notes.get("settled_ms", 0) / 1e3
        request = AllocationsRequest(round(came.seconds - settled, 3), came.notes.get("newest"))
        await have_made(job, allocations.__name__, request, Sites, memory_bytes=MAKE_BYTES, seconds=MAKE_SECONDS)
        summary: dict[str, object] = {"tracked_seconds": round(came.seconds, 3), "sample_bytes": SAMPLE_BYTES}
        if request.newest is not None:
            summary |= {"kept_seconds": round(settled, 3), "collections": came.notes.get("collections", 0)}
        if job.stop.is_set():
            summary["ended"] = "It was ended early."
        found = read_sites(job.folder)
        if found is not None:
            summary |= compare(found, read_sites(job.before) if job.before is not None else None)
        return replace(Made(FILES, came.held_seconds), summary=summary)
