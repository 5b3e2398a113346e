"""A heap snapshot, read by pieces: its census, what is redacted, and what is no snapshot."""

from __future__ import annotations

import io
import json
import tracemalloc
from itertools import chain
from typing import Any

import pytest

from vitalsd.capture.v8 import snapshot
from vitalsd.capture.v8.snapshot import SnapshotError, SnapshotReader, TypeCount

NODE_TYPES = ["hidden", "array", "string", "object", "code", "closure", "regexp"]
EDGE_TYPES = ["context", "element", "property", "internal"]
STRINGS = ["", "Session", 'user \\ "4711" ]}, é', "handler", "name", "secret key", "scope", "elements"]
NODES = [(3, 1, 40), (3, 1, 48), (2, 2, 24), (5, 3, 64), (1, 7, 100), (1, 0, 16), (6, 2, 8)]
EDGES = [(0, 6, 0), (1, 5, 6), (2, 5, 12), (2, 4, 12), (3, 7, 18)]


def document(strings: list[str] = STRINGS) -> bytes:
    """As V8 writes it."""
    meta = {
        "node_fields": ["type", "name", "id", "self_size", "edge_count", "trace_node_id"],
        "node_types": [NODE_TYPES, "string", "number", "number", "number", "number"],
        "edge_fields": ["type", "name_or_index", "to_node"],
        "edge_types": [EDGE_TYPES, "string_or_number", "node"],
    }
    nodes = [[kind, name, 2 * number + 1, size, 0, 0] for number, (kind, name, size) in enumerate(NODES)]
    rows = "\n,".join(",".join(map(str, row)) for row in nodes)
    edges = "\n,".join(",".join(map(str, row)) for row in EDGES)
    text = ",\n".join(json.dumps(each) for each in strings)
    head = json.dumps({"meta": meta, "node_count": len(nodes), "edge_count": len(EDGES)})
    whole = (
        f'{{"snapshot":{head},\n"nodes":[{rows}\n],\n"edges":[{edges}\n],\n'
        f'"trace_tree":[],\n"samples":[],\n"locations":[],\n"strings":[{text}]}}'
    )
    return whole.encode()


@pytest.fixture(params=[7, 64, 1 << 20])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies across the border of two pieces."""
    monkeypatch.setattr(snapshot, "BLOCK_BYTES", request.param)


def test_a_large_one_takes_little_memory() -> None:
    """Whatever its size: what reads it runs beside the agent, whose memory may be limited."""
    before, _, after = document().partition(b"3,1,1,40,0,0")
    file = io.BytesIO(before + b"\n,".join([b"3,1,1,40,0,0"] * 200_000) + after)
    tracemalloc.start()
    try:
        rows = SnapshotReader(file).read()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert TypeCount("Session", 200_001, 200_000 * 40 + 48) in rows
    assert most < 8 << 20


@pytest.mark.usefixtures("_pieces")
def test_the_census() -> None:
    """By constructor and by function; of V8's own, and of strings, by type alone."""
    reader = SnapshotReader(io.BytesIO(document()))
    assert reader.read() == [
        TypeCount("(array)", 2, 116),
        TypeCount("Session", 2, 88),
        TypeCount("handler()", 1, 64),
        TypeCount("(string)", 1, 24),
        TypeCount("(regexp)", 1, 8),
    ]
    assert (reader.nodes, reader.bytes) == (7, 300)


@pytest.mark.usefixtures("_pieces")
def test_what_is_redacted() -> None:
    """What strings and patterns say and names of properties; all else is as it was, number for number."""
    out = io.BytesIO()
    reader = SnapshotReader(io.BytesIO(document()), out.write)
    reader.read()
    before, after = json.loads(document()), json.loads(out.getvalue())
    assert after["strings"] == [
        *("", "Session", after["strings"][2], "handler", "[4 letters]", "[10 letters]", "scope", "elements")
    ]
    assert after["strings"][2].endswith("letters]")
    assert reader.redacted == 3
    assert before | {"strings": 0} == after | {"strings": 0}


def test_a_string_that_is_longer_than_any_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole all the same."""
    monkeypatch.setattr(snapshot, "BLOCK_BYTES", 16)
    strings = [*STRINGS[:1], "S" * 5000, *STRINGS[2:]]
    rows = SnapshotReader(io.BytesIO(document(strings))).read()
    assert "S" * 200 in {row.type for row in rows}


@pytest.mark.parametrize("cut", [10, 300, 700, -3])
def test_one_that_ends_early(cut: int) -> None:
    """It is said; nothing is guessed."""
    with pytest.raises(SnapshotError):
        SnapshotReader(io.BytesIO(document()[:cut])).read()


def test_something_else() -> None:
    """Neither JSON of another kind nor numbers that are none."""
    broken: list[Any] = [b"x" * 3_000_000, b'{"nodes":[1,2]}', document().replace(b"3,1,1,40", b"3,1,x,40")]
    for text in chain(broken):
        with pytest.raises(SnapshotError):
            SnapshotReader(io.BytesIO(text)).read()
