"""
Makes a recording of memray's readable: the sites that leak as JSON, and a flame graph of leaks.

A program of its own, `python -m vitalsd.capture.memray_report RECORDING SECONDS`, because memray takes memory
that the agent does not have, and because what it reads comes out of another process: it is run confined, with
bounds on memory, time and files, and writes beside the recording. A flame graph has 4.5 MB at
least, since all that it needs is in it: it is looked at without a network.

A site is the innermost frame of the service's own code on a stack, as with the culprit of a stall: what it calls
in libraries allocates in its name. No file that a recording names is read, so there are no source lines. The
command line in the recording is scrubbed.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vitalsd.detect.culprit import callback
from vitalsd.detect.machinery import Origin, by_name, origin
from vitalsd.model import Frame, Stack
from vitalsd.targets.scrub import scrub

if TYPE_CHECKING:
    from memray import AllocationRecord, FileReader, Metadata

__all__ = ["FLAME_GRAPH", "RECORDING", "TOP_SITES", "Leaked", "Site", "site_of", "top_sites"]

RECORDING, TOP_SITES, FLAME_GRAPH = "allocations.bin", "top-sites.json", "flamegraph.html"
MOST_SITES = 50
MOST_FRAMES = 20
STACK_FRAMES = 200
HEADER_BYTES = 1 << 16
NOWHERE = Frame("<no Python code>", "", 0)
ORDER = (Origin.OWN, Origin.PACKAGE, Origin.STANDARD, Origin.FRAMEWORK)
PROBE = ("/vitalsd/probe/python/", "/vitalsd_probe/")


class Leaked(msgspec.Struct, frozen=True):
    """What was allocated by one stack while tracking and was there at its end."""

    frames: tuple[Frame, ...]
    """Innermost first."""
    size_bytes: int
    allocations: int


class Site(msgspec.Struct, frozen=True):
    """A line that leaks."""

    function: str
    file: str
    line: int
    bytes: int
    allocations: int
    stack: list[Frame]
    """The one that leaks most of it, innermost first."""


def site_of(frames: Sequence[Frame]) -> Frame:
    """Whose allocation it is: the innermost frame of the service's own code, else of a package, and so on."""
    called = callback(Stack(samples=1, frames=tuple(frames))) or tuple(frames)
    looked_at = (*by_name(called), *called)
    for kind in ORDER:
        found = next((frame for frame in looked_at if origin(frame) is kind), None)
        if found is not None:
            return found
    return frames[0] if frames else NOWHERE


def top_sites(leaked: Iterable[Leaked]) -> list[Site]:
    """All that leaked by site, the most bytes first; the probe's own is left out."""
    of_site: dict[Frame, list[Leaked]] = {}
    for one in leaked:
        if not (one.frames and any(part in one.frames[0].file for part in PROBE)):
            of_site.setdefault(site_of(one.frames), []).append(one)
    sites = [
        Site(
            at.function,
            at.file,
            at.line,
            sum(one.size_bytes for one in ones),
            sum(one.allocations for one in ones),
            list(max(ones, key=lambda one: one.size_bytes).frames[:MOST_FRAMES]),
        )
        for at, ones in of_site.items()
    ]
    return sorted(sites, key=lambda site: (-site.bytes, -site.allocations, site.file, site.line))


def _scrub_recording(recording: Path, command_line: str) -> str:
    """Write over the command line in the header, in place: it may have a password in it."""
    plain = command_line.encode("utf-8", "replace")
    scrubbed = scrub(command_line.split(" "))
    with recording.open("r+b") as file:
        at = file.read(HEADER_BYTES).find(plain + b"\0")
        if plain and at >= 0:
            file.seek(at)
            file.write(scrubbed.encode()[: len(plain)].ljust(len(plain)))
    return scrubbed


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def report(recording: Path, seconds: float) -> None:
    """Write both beside the recording."""
    from memray import FileReader

    reader = FileReader(recording)
    metadata = reader.metadata
    metadata.command_line = _scrub_recording(recording, metadata.command_line)
    records = list(reader.get_leaked_allocation_records(merge_threads=True))
    leaked = [
        Leaked(tuple(Frame(*frame) for frame in each.stack_trace(STACK_FRAMES)), each.size, each.n_allocations)
        for each in records
    ]
    sites = top_sites(leaked)
    found = {
        "seconds": seconds,
        "bytes": sum(site.bytes for site in sites),
        "allocations": sum(site.allocations for site in sites),
        "sites": len(sites),
        "top_sites": msgspec.to_builtins(sites[:MOST_SITES]),
    }
    _write(recording.with_name(TOP_SITES), json.dumps(found, indent=1))
    _draw(recording, reader, metadata, records)


def _draw(recording: Path, reader: FileReader, metadata: Metadata, records: Iterable[AllocationRecord]) -> None:
    """The flame graph. It takes three times the memory of all else, so that comes first."""
    from memray.reporters.flamegraph import FlameGraphReporter

    graph = FlameGraphReporter.from_snapshot(
        records,
        memory_records=tuple(reader.get_memory_snapshots()),
        native_traces=False,
        confidential_files="all",
    )
    aside = recording.with_name("." + FLAME_GRAPH)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        graph.render(
            outfile=file,
            metadata=metadata,
            show_memory_leaks=True,
            merge_threads=True,
            inverted=False,
            no_web=True,
        )
    aside.rename(recording.with_name(FLAME_GRAPH))


def _too_little(recording: Path) -> str:
    """What could not be made, of how much memory, and how it is had elsewhere."""
    most, _ = resource.getrlimit(resource.RLIMIT_DATA)
    left = f"the {most >> 20} MiB of memory that it may take beside the agent are too little"
    what = "a flame graph" if recording.with_name(TOP_SITES).exists() else "that"
    return f"{left} for {what}: `memray flamegraph {RECORDING}` makes one elsewhere"


def main() -> int:
    """As a program."""
    recording, seconds = Path(sys.argv[1]), float(sys.argv[2])
    try:
        report(recording, seconds)
    except MemoryError:
        sys.stderr.write(f"{_too_little(recording)}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
