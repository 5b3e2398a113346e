"""
The memory engine: the probe has memray's tracker run in the process, and memray tells what the recording says.

Costs the service 5 to 10 ms of its interpreter when tracking starts and again when it ends, up to 50 ms where it
has grown much meanwhile, and in between two thirds of the throughput of a web service that is saturated (`python
-m bench tracking`). It needs a probe in the process, and memray: in the service's own environment, beside the
probe, or the agent's where `vitalsd run` has started it. The agent itself never imports memray; the report is made
by a program of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import msgspec
from msgspec.structs import replace

from vitalsd.capture import memray_report
from vitalsd.capture.census import NoCensus, socket_of
from vitalsd.capture.confined import Confined, ConfinedError, Limits, ended_how, until_ended
from vitalsd.capture.engines.registry import FULL, CaptureError, DiskError, Fit, Job, Made, Subject, register
from vitalsd.capture.folders import read_in
from vitalsd.capture.memray_report import FLAME_GRAPH, RECORDING, TOP_SITES, Site
from vitalsd.capture.model import CaptureKind
from vitalsd.capture.ownroom import for_programs, own_room
from vitalsd.capture.probe_fit import fit_of_probe
from vitalsd.capture.tracking import Recording, copy_recording, track
from vitalsd.segment.reader import SegmentError, SegmentFile
from vitalsd.settings.model import Settings

__all__ = ["Memray", "SitesFound", "compare"]

REPORT_SECONDS = 60.0
MEMORY_BYTES = 2 << 30
REPORT_BYTES = 16 << 20
"""What the sites take at the least; the flame graph takes 60 MiB, and is left out where there is less."""
CPU_SECONDS = 60
OUTPUT, OUTPUT_BYTES = "report.out", 8192
MOST_SITES_BYTES = 4 << 20
MOST_TOLD = 10
"""Sites, in the summary; the file has more, with their stacks."""
SAID_BYTES = 300
ADVICE = (
    "install memray in the service's environment, or give its probe one: "
    "`vitalsd probe install DIR --with-memray --python PYTHON`, with the service's PYTHON; then restart it"
)
NO_DEBUGGER = (
    "; a debugger may be attached, by capture.allow_debugger_attach, but no engine of this version does: "
    "it could end the process"
)
WAYS = {
    "own": "of the service's own environment",
    "beside": "installed beside the probe",
    "given": "of the agent, which is of the same Python version",
}
ENDED_EARLY = {
    "asked": "It was ended early.",
    "growth": "It ended early: the process grew by more than tracking may go along with.",
    "greenlets": "It ended early: the process began to use greenlets, with which tracking costs too much.",
    "late": "It ended early: the process's loop came late meanwhile.",
}


class SitesFound(msgspec.Struct, frozen=True):
    """What `top-sites.json` says."""

    seconds: float
    bytes: int
    allocations: int
    sites: int
    top_sites: list[Site]


class Memray:
    """Allocations that stay, by the line that makes them."""

    name = "memray"
    kind: CaptureKind = "memory"
    rank = 10

    def __init__(self, *, debugger: bool = False, report_seconds: float = REPORT_SECONDS) -> None:
        self._debugger = debugger
        self._report_seconds = report_seconds

    def fit(self, subject: Subject) -> Fit:
        """Whether there is a probe, and memray for it: the segment says so."""
        fit = fit_of_probe(subject, "the probe tracks allocations in the process")
        if not fit.fits:
            no_other_way = NO_DEBUGGER if self._debugger and subject.segment is None else ""
            return replace(fit, why=fit.why + no_other_way)
        assert subject.segment is not None
        try:
            with contextlib.closing(SegmentFile(subject.segment)) as segment:
                header = segment.header
        except SegmentError as error:
            return Fit(fits=False, why=f"the probe's segment cannot be read: {error}")
        if header.runtime != "python":
            return Fit(fits=False, why=f"memray is for Python, this is {header.runtime}", foreign=True)
        if not header.memray:
            return Fit(fits=False, why=f"there is no memray for its Python {header.version}", advice=ADVICE)
        way = WAYS.get(header.memray, "that its probe has found")
        return Fit(True, f"{fit.why} with the memray {way}", weight="heavy")

    async def take(self, job: Job) -> Made:
        """Track, copy, report, compare. Raises CaptureError."""
        if job.subject.segment is None:
            raise CaptureError(
                f"There is no probe in process {job.subject.pid}, which is to track its allocations"
            )
        try:
            recording = await track(socket_of(job.subject.segment), job.subject.pid, job.seconds, job.stop)
            copied = asyncio.get_running_loop().run_in_executor(
                None, copy_recording, recording.descriptor, job.folder / RECORDING, job.most_bytes
            )
            try:
                size = await asyncio.shield(copied)
            except asyncio.CancelledError:
                await asyncio.wait({copied})  # it writes into the folder, and closes the descriptor
                raise
        except NoCensus as error:
            raise CaptureError(str(error)) from None
        except OSError as error:
            told = f"The recording cannot be written to {job.folder}: {error.strerror}"
            raise (DiskError if error.errno in FULL else CaptureError)(told) from None
        problem = await self._report(job, recording, max(1 << 20, job.most_bytes - size))
        return self._made(job, recording, problem)

    async def _report(self, job: Job, recording: Recording, most_bytes: int) -> str | None:
        """Have it made; what went wrong, if something did. The recording is evidence without it, too."""
        room = for_programs(own_room().left_bytes())
        if room is not None and room < REPORT_BYTES:
            takes = f"There is no report: it takes {REPORT_BYTES >> 20} MiB beside this agent"
            left = f"{room >> 20} MiB are left for that of the agent's own memory limit"
            return f"{takes}, and {left}; `memray flamegraph {RECORDING}` makes one elsewhere"
        command = (
            *(sys.executable, "-P", "-m", memray_report.__name__),
            *(str(job.folder / RECORDING), f"{recording.seconds:.3f}"),
        )
        output = job.folder / OUTPUT
        try:
            maker = Confined(command, Limits(MEMORY_BYTES, most_bytes, CPU_SECONDS), output)
        except ConfinedError as error:
            return f"The report could not be made: {error}"
        try:
            await until_ended(maker, self._report_seconds, "The report was not ready")
        except CaptureError as error:
            return str(error)
        finally:
            await maker.end()
        if maker.code == 0:
            return None
        with output.open("rb") as file:
            words = " ".join(file.read(OUTPUT_BYTES).decode("utf-8", "replace").split())
        if "incompatible with this version" in words:
            return "The recording is of another version of memray's than the agent's: read it with that one"
        return f"The report could not be made: {words[-SAID_BYTES:] or ended_how(maker.code)}"

    def _made(self, job: Job, recording: Recording, problem: str | None) -> Made:
        names = {FLAME_GRAPH: "text/html", TOP_SITES: "application/json", RECORDING: "application/octet-stream"}
        found = read_sites(job.folder)
        summary: dict[str, object] = {"tracked_seconds": round(recording.seconds, 3)}
        if recording.ended != "time":
            summary["ended"] = ENDED_EARLY.get(recording.ended, "It ended early.")
        if problem is not None:
            summary["problem"] = problem
        if found is not None:
            summary |= compare(found, read_sites(job.before) if job.before is not None else None)
        return Made(
            {name: media for name, media in names.items() if (job.folder / name).is_file()},
            recording.pause_seconds,
            summary,
        )


def read_sites(folder: Path) -> SitesFound | None:
    """What the report in a folder says; None where there is none that can be read."""
    try:
        return msgspec.json.decode(read_in(folder, TOP_SITES, MOST_SITES_BYTES), type=SitesFound)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def compare(found: SitesFound, before: SitesFound | None) -> dict[str, object]:
    """For the summary: the rate of each site, and what it was in the capture before."""
    earlier = {(site.function, site.file, site.line): site.bytes for site in before.top_sites} if before else {}
    told = []
    for site in found.top_sites[:MOST_TOLD]:
        row: dict[str, object] = {
            "function": site.function,
            "file": site.file,
            "line": site.line,
            "bytes": site.bytes,
            "allocations": site.allocations,
            "bytes_per_second": _rate(site.bytes, found.seconds),
        }
        if before is not None:
            then = earlier.get((site.function, site.file, site.line))
            row["new"] = then is None
            row["bytes_per_second_before"] = _rate(then or 0, before.seconds)
        told.append(row)
    return {"leaked_bytes": found.bytes, "leaked_allocations": found.allocations, "top_sites": told}


def _rate(size: int, seconds: float) -> int:
    return round(size / max(seconds, 0.001))


@register
def _make(settings: Settings) -> Memray:
    return Memray(debugger=settings.capture.allow_debugger_attach)
