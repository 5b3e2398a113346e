"""
Makes the files of a CPU profile, in a process of its own: `python -m vitalsd.capture.profiles.make FOLDER`.

A long profile is megabytes of stacks. Taken apart in the agent they would hold up its loop for a second and stay
in its memory; here they cost 0.15 s of a processor at low priority, and nothing afterwards.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vitalsd.capture.notes import DIGEST, REQUEST

if TYPE_CHECKING:
    from vitalsd.capture.profiles.folded import Folded

__all__ = ["CPUPROFILE", "FLAMEGRAPH", "FOLDED", "SPEEDSCOPE", "Digest", "Request", "ThreadShare", "make"]

FLAMEGRAPH, SPEEDSCOPE, FOLDED = "profile.svg", "profile.speedscope.json", "profile.folded.txt"
CPUPROFILE = "profile.cpuprofile"


class Request(msgspec.Struct, frozen=True):
    """What is to be made of what."""

    sources: tuple[str, ...]
    """Files in the folder, as py-spy wrote them; or one that V8 did."""
    name: str
    """Of target and worker."""
    rate: float
    """Samples a second."""
    seconds: float
    counts: str
    """What was counted, in words."""
    exporter: str
    v8_thread: str = ""
    """Of what V8 has sampled, the number of the thread; else it is of py-spy."""


class ThreadShare(msgspec.Struct, frozen=True):
    """One thread's part of the samples."""

    id: str
    name: str
    samples: int


class Digest(msgspec.Struct, frozen=True):
    """What the agent wants to know of it."""

    samples: int
    unread: int
    threads: tuple[ThreadShare, ...]
    top_functions: list[dict[str, object]]
    rate: float = 0.0
    """Samples a second, as there were."""
    seconds: float = 0.0
    idle_seconds: float = 0.0


def make(folder: Path) -> None:
    """Read the request, and write the files and the digest."""
    # The agent imports this file for its words alone.
    from vitalsd.capture.profiles.flamegraph import flamegraph
    from vitalsd.capture.profiles.folded import write
    from vitalsd.capture.profiles.speedscope import speedscope
    from vitalsd.capture.profiles.top import thread_samples, top_functions

    request = msgspec.json.decode((folder / REQUEST).read_bytes(), type=Request)
    folded, request, idle_seconds = _read(folder, request)
    (folder / FOLDED).write_text(write(folded.stacks), encoding="utf-8", errors="replace")
    document = speedscope(folded.stacks, name=request.name, rate=request.rate, exporter=request.exporter)
    (folder / SPEEDSCOPE).write_bytes(document)
    subtitle = (
        f"{folded.samples:,} samples in {request.seconds:.1f} s, {request.rate:g} a second. {request.counts} "
        "Callers are above what they call; a box is as wide as its share of the samples."
    )
    picture = flamegraph(folded.stacks, title=f"{request.name}: where the processor time went", subtitle=subtitle)
    (folder / FLAMEGRAPH).write_text(picture, encoding="utf-8", errors="replace")
    threads = thread_samples(folded.stacks)
    digest = Digest(
        folded.samples,
        folded.unread,
        tuple(ThreadShare(thread.id, thread.name, samples) for thread, samples in threads.items()),
        top_functions(folded.stacks),
        request.rate,
        request.seconds,
        idle_seconds,
    )
    (folder / DIGEST).write_bytes(msgspec.json.encode(digest))


def _read(folder: Path, request: Request) -> tuple[Folded, Request, float]:
    """The stacks, what is known of them, and how many seconds there was nothing to do."""
    if not request.v8_thread:
        from vitalsd.capture.profiles.folded import parse

        text = b"\n".join((folder / source).read_bytes() for source in request.sources)
        return parse(text).named(), request, 0.0
    from vitalsd.capture.profiles import cpuprofile

    profile = cpuprofile.clean(cpuprofile.parse((folder / request.sources[0]).read_bytes()))
    (folder / CPUPROFILE).write_bytes(msgspec.json.encode(profile))
    known = msgspec.structs.replace(request, rate=round(profile.rate, 2), seconds=profile.seconds)
    return cpuprofile.fold(profile, request.v8_thread), known, profile.idle_seconds


def main() -> None:
    """As a program."""
    from vitalsd.capture.profiles.cpuprofile import ProfileError

    try:
        make(Path(sys.argv[1]))
    except ProfileError as problem:
        sys.exit(f"The profile cannot be read: {problem}")


if __name__ == "__main__":
    main()
