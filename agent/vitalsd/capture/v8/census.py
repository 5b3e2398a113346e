"""
The census of a heap snapshot, and the snapshot redacted where that is wanted: `python -m vitalsd.capture.v8.census
FOLDER`. A snapshot of 194 MB took it 3 s of a processor and 55 MiB, redacted 6 s and 61 MiB.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from vitalsd.capture.notes import DIGEST, REQUEST
from vitalsd.capture.v8.snapshot import SnapshotError, SnapshotReader, TypeCount

__all__ = ["RAW", "SNAPSHOT", "SnapshotDigest", "SnapshotRequest", "make"]

RAW, SNAPSHOT = "v8.json", "heap.heapsnapshot"
MOST_TYPES = 5000


class SnapshotRequest(msgspec.Struct, frozen=True):
    """What is to be made of it."""

    redact: bool


class SnapshotDigest(msgspec.Struct, frozen=True):
    """What is in it."""

    types: list[TypeCount]
    """Those with the most bytes."""
    nodes: int
    bytes: int
    redacted: int
    """Strings that were replaced."""
    untold: int
    """Nodes of types that are not listed."""


def make(folder: Path) -> None:
    """Read the request, and write the snapshot under its name and the digest."""
    request = msgspec.json.decode((folder / REQUEST).read_bytes(), type=SnapshotRequest)
    raw, final = folder / RAW, folder / SNAPSHOT
    with raw.open("rb", buffering=0) as file:
        if request.redact:
            with final.open("wb", buffering=1 << 20) as out:
                reader = SnapshotReader(file, out.write)
                types = reader.read()
            raw.unlink()
        else:
            reader = SnapshotReader(file)
            types = reader.read()
            raw.rename(final)
    untold = sum(row.count for row in types[MOST_TYPES:])
    digest = SnapshotDigest(types[:MOST_TYPES], reader.nodes, reader.bytes, reader.redacted, untold)
    (folder / DIGEST).write_bytes(msgspec.json.encode(digest))


if __name__ == "__main__":
    try:
        make(Path(sys.argv[1]))
    except SnapshotError as problem:
        sys.exit(f"The snapshot cannot be read: {problem}")
