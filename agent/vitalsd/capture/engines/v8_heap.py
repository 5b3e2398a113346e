"""
The heap engine for Node: a snapshot of all that lives, as V8 writes it, and a census of it by constructor, with
what has grown since the last.

V8 stops the service for it: for a heap of 200 MiB of small objects 17 s on a host at rest, and it took 7 to
8 times the heap of memory meanwhile, with or without the agent. So it needs nine times the heap inside the limit,
and is not taken without somebody asking where it would hold for longer than `capture.max_hold`. The probe passes
V8's pieces on as they come, the agent writes them to a file, and a program of its own counts what is in it.
Redacted, only that file, which is deleted, has had what strings say.
"""

from __future__ import annotations

import os
import time

import msgspec

from vitalsd.capture.census import Census
from vitalsd.capture.censusfile import (
    CENSUS_JSON,
    CENSUS_TXT,
    CensusFile,
    as_text,
    read_before,
    summary_of,
    written,
)
from vitalsd.capture.engines.registry import Fit, Job, Made, Subject, register
from vitalsd.capture.makers import MAKER_BYTES, have_made
from vitalsd.capture.model import CaptureKind
from vitalsd.capture.probe_fit import fit_of_probe
from vitalsd.capture.streaming import streamed
from vitalsd.capture.v8 import census
from vitalsd.capture.v8.census import RAW, SNAPSHOT, SnapshotDigest, SnapshotRequest
from vitalsd.capture.v8.growing import growing_constructors
from vitalsd.probe.python.protocol import SNAPSHOT as SNAPSHOT_REQUEST
from vitalsd.settings.model import Settings

__all__ = ["V8Heap"]

HEAPS = 9.0
HOLD_SECONDS_PER_MIB = 0.1
"""Of small objects: up to 0.09 on a host at rest, 0.1 of a processor on a busy one (bench `holds_node`)."""
LEAST_HOLD_SECONDS = 0.2
"""Of a process that has nothing but Node in it."""
MAKE_BYTES = 1 << 30
MAKE_SECONDS = 110
FILES = {
    CENSUS_TXT: "text/plain; charset=utf-8",
    CENSUS_JSON: "application/json",
    SNAPSHOT: "application/octet-stream",
}


@register
class V8Heap:
    """All that lives in a Node process."""

    name = "v8"
    kind: CaptureKind = "heap"
    rank = 20

    def __init__(self, settings: Settings) -> None:
        pass

    def fit(self, subject: Subject) -> Fit:
        """Whether there is a probe of Node, and what it costs."""
        probe = subject.worker.probe
        heap = (probe.heap_used_bytes if probe is not None else None) or 0
        holds = max(LEAST_HOLD_SECONDS, HOLD_SECONDS_PER_MIB * heap / (1 << 20))
        fit = fit_of_probe(
            subject, f"V8 writes all that lives, and holds the process for some {holds:.1f} s", "node"
        )
        heavy = msgspec.structs.replace(fit, weight="heavy", heaps=HEAPS, holds_seconds=holds)
        return msgspec.structs.replace(heavy, beside_bytes=MAKER_BYTES)

    async def take(self, job: Job) -> Made:
        """Have it written, count, compare."""
        subject = job.subject
        assert subject.worker.key is not None
        at, key = time.time(), subject.worker.key
        # What is redacted is there twice for a moment.
        most = job.most_bytes // 2 if job.redact else job.most_bytes
        wanted = SNAPSHOT_REQUEST, 1, most
        came = await streamed(job, wanted, job.folder / RAW, most, 0.0)
        digest = await have_made(
            job,
            census.__name__,
            SnapshotRequest(job.redact),
            SnapshotDigest,
            memory_bytes=MAKE_BYTES,
            seconds=MAKE_SECONDS,
        )
        types = {row.type: (row.count, row.bytes) for row in digest.types}
        found = Census(types, 1, digest.bytes, 0, digest.untold)
        before = read_before(job.before, key)
        grown = growing_constructors(before.census, found) if before is not None else []
        file = written(key, at, found, None, before, grown)
        _write(job, file)
        summary = summary_of(file, grown, before) | {"snapshot_bytes": came.bytes, "nodes": digest.nodes}
        if job.redact:
            summary["redacted_strings"] = digest.redacted
        return Made(FILES, came.held_seconds, summary)


def _write(job: Job, file: CensusFile) -> None:
    encoded = msgspec.json.format(msgspec.json.encode(file))
    for name, data in ((CENSUS_JSON, encoded), (CENSUS_TXT, as_text(file).encode("utf-8", "replace"))):
        descriptor = os.open(job.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
