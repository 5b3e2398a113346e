"""A sampling heap profile: which function has allocated what stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from vitalsd.capture.makers import DIGEST, REQUEST
from vitalsd.capture.v8.allocations import HEAPPROFILE, RAW, AllocationsRequest, Sites, make


def place(number: int, name: str, url: str, size: int, *children: dict[str, Any]) -> dict[str, Any]:
    """One call."""
    call = {"functionName": name, "scriptId": "1", "url": url, "lineNumber": 9, "columnNumber": 0}
    return {"callFrame": call, "selfSize": size, "id": number, "children": list(children)}


def test_sites(tmp_path: Path) -> None:
    """What libraries allocate is the line's of the service that calls them; the probe's own is in no file."""
    probe = place(5, "_beat", "/opt/vitalsd/probe/node/meter.js", 900_000, place(6, "alloc", "node:buffer", 1))
    library = place(3, "parse", "/srv/node_modules/lib/index.js", 40_000)
    head = place(1, "(root)", "", 0, place(2, "keep", "file:///srv/app.js", 10_000, library), probe)
    samples = [{"size": 100, "nodeId": number, "ordinal": at} for at, number in enumerate([2, 3, 3, 5])]
    (tmp_path / RAW).write_bytes(msgspec.json.encode({"head": head, "samples": samples}))
    (tmp_path / REQUEST).write_bytes(msgspec.json.encode(AllocationsRequest(2.0)))
    make(tmp_path)
    found = msgspec.json.decode((tmp_path / DIGEST).read_bytes(), type=Sites)
    assert [(site.function, site.line, site.bytes, site.allocations) for site in found.top_sites] == [
        ("keep", 10, 50_000, 3)
    ]
    kept = msgspec.json.decode((tmp_path / HEAPPROFILE).read_bytes())
    assert "meter.js" not in (tmp_path / HEAPPROFILE).read_text()
    assert [sample["nodeId"] for sample in kept["samples"]] == [2, 3, 3]
    assert kept["head"]["callFrame"]["functionName"] == "(root)"
