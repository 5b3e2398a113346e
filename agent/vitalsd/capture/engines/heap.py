"""
The census of live objects, by the probe in the process: what lives there by type, what has grown since the last
capture of the same process, and who holds what has grown most.

It needs a probe with a control socket, and its user or root. The census costs the service 0.3 s of a processor, in
steps that hold the interpreter for a millisecond or two; to find who holds what grows costs up to 4 s more, and
neither takes more than 1 MiB of memory. Of a large heap the census is a sample. Nothing is stopped, touched or
kept alive.
"""

from __future__ import annotations

import asyncio
import os
import time

import msgspec

from vitalsd.capture.census import (
    AGAIN_BUDGET_BYTES,
    BUDGET_BYTES,
    NoCensus,
    list_tasks,
    socket_of,
    take_census,
)
from vitalsd.capture.censusfile import (
    CENSUS_JSON,
    CENSUS_TXT,
    CensusFile,
    as_text,
    holders_row,
    read_before,
    summary_of,
    written,
)
from vitalsd.capture.engines.registry import CaptureError, Fit, Job, Made, Subject, register
from vitalsd.capture.growing import growing_types, largest_own, standing_out
from vitalsd.capture.holders import Holders, find_holders
from vitalsd.capture.model import CaptureKind
from vitalsd.capture.probe_fit import fit_of_probe
from vitalsd.settings.model import Settings

__all__ = ["CensusEngine"]


@register
class CensusEngine:
    """Live objects by type."""

    name = "census"
    kind: CaptureKind = "heap"
    rank = 10

    def __init__(self, _settings: Settings) -> None:
        pass

    def fit(self, subject: Subject) -> Fit:
        """Whether there is a probe that can be asked."""
        return fit_of_probe(subject, "the probe counts live objects by type, in slices of less than a millisecond")

    async def take(self, job: Job) -> Made:
        """Count, compare, and ask who holds what has grown most."""
        subject = job.subject
        assert subject.segment is not None
        assert subject.worker.key is not None
        path, key = socket_of(subject.segment), subject.worker.key
        before = read_before(job.before, key)
        try:
            census = await take_census(
                path,
                key.pid,
                stride=before.stride if before is not None else 1,
                budget_bytes=AGAIN_BUDGET_BYTES if before is not None else BUDGET_BYTES,
            )
        except NoCensus as error:
            raise CaptureError(str(error)) from None
        at, notes, tasks = time.time(), [], None
        try:
            tasks = await list_tasks(path, key.pid)
        except NoCensus as error:
            notes.append(f"Tasks are not listed: {error}")
        grown = growing_types(before.census, census) if before is not None else []
        wanted = standing_out(grown, census) if before is not None else largest_own(census)
        holders: Holders | str | None = None
        if wanted is not None:
            holders = await self._holders(job, wanted)
            if isinstance(holders, str):
                notes.append(holders)
        else:
            notes.append("Who holds what was not looked for: no type stands out.")
        file = written(key, at, census, tasks, before, grown)
        if wanted is not None and isinstance(holders, Holders):
            file = msgspec.structs.replace(file, held=holders_row(wanted, holders))
        self._write(job, msgspec.structs.replace(file, notes=tuple(notes)))
        found = holders.held_seconds if isinstance(holders, Holders) else 0.0
        return Made(
            {CENSUS_TXT: "text/plain; charset=utf-8", CENSUS_JSON: "application/json"},
            max(census.held_seconds, found),
            summary_of(file, grown, before),
        )

    @staticmethod
    async def _holders(job: Job, kind: str) -> Holders | str:
        """Who holds objects of this type, or why that is not known; given up when the capture is to end early."""
        assert job.subject.segment is not None
        asked = asyncio.ensure_future(find_holders(socket_of(job.subject.segment), job.subject.pid, kind))
        stopped = asyncio.ensure_future(job.stop.wait())
        try:
            await asyncio.wait((asked, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                return f"Who holds {kind} was not looked for: the capture was ended early."
            return asked.result()
        except NoCensus as error:
            return f"Who holds {kind} is not known: {error}"
        finally:
            asked.cancel()
            stopped.cancel()

    @staticmethod
    def _write(job: Job, file: CensusFile) -> None:
        encoded = msgspec.json.format(msgspec.json.encode(file))
        text = as_text(file).encode("utf-8", "replace")
        if len(encoded) + len(text) > job.most_bytes:
            raise CaptureError(f"A census of {len(encoded) + len(text)} bytes is more than the disk has room for.")
        for name, data in ((CENSUS_JSON, encoded), (CENSUS_TXT, text)):
            descriptor = os.open(job.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(data)
