"""A sampling heap profile: which function has allocated what stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from vitalsd.capture.notes import DIGEST, REQUEST
from vitalsd.capture.v8.allocations import HEAPPROFILE, RAW, AllocationsRequest, Sites, make


def place(number: int, name: str, url: str, size: int, *children: dict[str, Any]) -> dict[str, Any]:
    """One call."""
    call = {"functionName": name, "scriptId": "1", "url": url, "lineNumber": 9, "columnNumber": 0}
    return {"callFrame": call, "selfSize": size, "id": number, "children": list(children)}


SIZES = [(2, 10_000), (3, 20_000), (3, 20_000), (5, 900_000), (4, 700_000)]
"""Of samples, in their order: the place, and bytes."""


def made(folder: Path, newest: int | None) -> Sites:
    """What is made of a profile."""
    probe = place(5, "_beat", "/opt/vitalsd/probe/node/meter.js", 900_000, place(6, "alloc", "node:buffer", 1))
    library = place(3, "parse", "/srv/node_modules/lib/index.js", 40_000)
    garbage = place(4, "render", "/srv/views.js", 700_000)
    head = place(1, "(root)", "", 0, place(2, "keep", "file:///srv/app.js", 10_000, library), garbage, probe)
    samples = [{"size": size, "nodeId": of, "ordinal": 11 + at} for at, (of, size) in enumerate(SIZES)]
    (folder / RAW).write_bytes(msgspec.json.encode({"head": head, "samples": samples}))
    (folder / REQUEST).write_bytes(msgspec.json.encode(AllocationsRequest(2.0, newest)))
    make(folder)
    return msgspec.json.decode((folder / DIGEST).read_bytes(), type=Sites)


def rows(found: Sites) -> list[tuple[str, int, int, int]]:
    """The sites."""
    return [(site.function, site.line, site.bytes, site.allocations) for site in found.top_sites]


def test_sites(tmp_path: Path) -> None:
    """What libraries allocate is the line's of the service that calls them; the probe's own is in no file."""
    assert rows(made(tmp_path, 14)) == [("keep", 10, 50_000, 3)]
    kept = msgspec.json.decode((tmp_path / HEAPPROFILE).read_bytes())
    assert "meter.js" not in (tmp_path / HEAPPROFILE).read_text()
    assert [sample["nodeId"] for sample in kept["samples"]] == [2, 3, 3, 4]
    assert kept["head"]["callFrame"]["functionName"] == "(root)"


def test_what_may_be_garbage(tmp_path: Path) -> None:
    """Samples that are younger than the last look are no site's; where there was no look, all of them are told."""
    assert rows(made(tmp_path, 12)) == [("keep", 10, 30_000, 2)]
    again = tmp_path / "again"
    again.mkdir()
    assert rows(made(again, None)) == [("render", 10, 700_000, 1), ("keep", 10, 50_000, 3)]
