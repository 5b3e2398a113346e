"""
The sites of a sampling heap profile (`.heapprofile`): `python -m vitalsd.capture.v8.allocations FOLDER`.

V8 takes one sample for so many bytes that are allocated, and tells of those whose objects are still there in the
end, scaled to what they stand for. The youngest of them may be garbage that is not collected yet, so sites are
told by what was allocated before the probe looked last, and is still there; the file has all of it. A place is a
function, at the line where it begins. What the probe has allocated is left out, of the file as well.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from vitalsd.capture.memray_report import TOP_SITES, Leaked, Site, top_sites
from vitalsd.capture.notes import DIGEST, REQUEST
from vitalsd.capture.profiles.cpuprofile import CallFrame, ProfileError, Size, decoded, frame_of, is_ours
from vitalsd.model import Frame

__all__ = ["HEAPPROFILE", "RAW", "AllocationsRequest", "Sites", "leaked"]

RAW, HEAPPROFILE = "v8.json", "allocations.heapprofile"
SPECIAL = frozenset(
    {"(root)", "(V8 API)", "(IDLE)", "(EXTERNAL)", "(GC)", "(COMPILER)", "(PARSER)", "(BYTECODE_COMPILER)"}
)


class Place(msgspec.Struct, rename="camel"):
    """A call by a path, and the bytes that it has allocated itself."""

    call_frame: CallFrame
    self_size: Size
    id: int
    children: list[Place]


class Sample(msgspec.Struct, rename="camel"):
    """Of one object."""

    size: Size
    node_id: int
    ordinal: float


class HeapProfile(msgspec.Struct):
    """All of it."""

    head: Place
    samples: list[Sample] = []


class AllocationsRequest(msgspec.Struct, frozen=True):
    """What is to be made of it."""

    seconds: float
    """Of allocating, in which what is told was allocated."""
    newest: int | None
    """The youngest sample that counts; None where all of them do."""


class Sites(msgspec.Struct, frozen=True):
    """What `top-sites.json` says; it is the digest, too."""

    seconds: float
    bytes: int
    allocations: int
    sites: int
    top_sites: list[Site]


def leaked(profile: HeapProfile, newest: int | None) -> Iterator[Leaked]:
    """What is still there of what is so old, by stack."""
    objects, sizes = Counter[int](), Counter[int]()
    for sample in profile.samples:
        if newest is None or sample.ordinal <= newest:
            objects[sample.node_id] += 1
            sizes[sample.node_id] += round(sample.size)
    waiting: list[tuple[Place, tuple[Frame, ...]]] = [(profile.head, ())]
    while waiting:
        place, callers = waiting.pop()
        special = place.call_frame.function_name in SPECIAL and not place.call_frame.url
        frames = callers if special else (frame_of(place.call_frame), *callers)
        if objects[place.id]:
            yield Leaked(frames, sizes[place.id], objects[place.id])
        waiting += [(each, frames) for each in place.children]


def clean(profile: HeapProfile) -> HeapProfile:
    """Without the probe, and all that it calls."""
    kept = set()
    waiting = [profile.head]
    while waiting:
        place = waiting.pop()
        kept.add(place.id)
        place.children = [each for each in place.children if not is_ours(each.call_frame)]
        waiting += place.children
    profile.samples = [sample for sample in profile.samples if sample.node_id in kept]
    return profile


def make(folder: Path) -> None:
    """Read the request, and write the files and the digest."""
    request = msgspec.json.decode((folder / REQUEST).read_bytes(), type=AllocationsRequest)
    profile = clean(decoded((folder / RAW).read_bytes(), HeapProfile))
    (folder / HEAPPROFILE).write_bytes(msgspec.json.encode(profile))
    found = list(leaked(profile, request.newest))
    sites = top_sites(found)
    size, objects = sum(one.size_bytes for one in found), sum(one.allocations for one in found)
    encoded = msgspec.json.encode(Sites(request.seconds, size, objects, len(sites), sites[:50]))
    for name in (TOP_SITES, DIGEST):
        (folder / name).write_bytes(encoded)


if __name__ == "__main__":
    try:
        make(Path(sys.argv[1]))
    except ProfileError as problem:
        sys.exit(f"The profile cannot be read: {problem}")
