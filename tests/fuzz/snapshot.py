"""V8's heap snapshot, by pieces; as it is, and redacted, when no string of the service's may be left."""

from __future__ import annotations

import io

import msgspec

from fuzz.frame import Target, assert_sane
from vitalsd.capture.v8.snapshot import SnapshotError, SnapshotReader


def check(content: bytes) -> None:
    """Both ways of reading it tell the same."""
    told = [_read(content, redact) for redact in (False, True)]
    assert told[0] is None or told[1] is None or told[0] == told[1]


def _read(content: bytes, redact: bool) -> object:
    out = bytearray()
    reader = SnapshotReader(io.BytesIO(content), out.extend if redact else None)
    try:
        types = reader.read()
    except SnapshotError as error:
        assert_sane(str(error))
        return None
    assert_sane([reader.nodes, reader.bytes, reader.redacted])
    assert_sane(msgspec.to_builtins(types), plain=False)
    msgspec.json.encode(types)
    assert len(out) <= 4 * len(content) + 4096
    return types


TARGET = Target(
    "snapshot",
    "V8's heap snapshot",
    check,
    words=(
        b'"nodes":[',
        b'"edges":[',
        b'"strings":[',
        b"],",
        b"-1,",
        b"99999999999999,",
        b'"node_fields":[',
        b'"',
    ),
)
