"""The pages of docs/incidents against the golden recording: every field of growth has its meaning."""

from __future__ import annotations

import json
import re

from support.pages import KINDS_AND_PAGES, ROOT, text_of


def test_every_field_of_its_evidence_is_described() -> None:
    """Those of the golden recording, in a table of the page of its kind."""
    lines = (ROOT / "tests" / "golden" / "backtest.jsonl").read_text(encoding="utf-8").splitlines()
    told = {(each["kind"], name) for each in map(json.loads, lines) for name in each["evidence"]}
    rows = [
        (kind, row)
        for kind in KINDS_AND_PAGES
        for row in re.findall(r"^\| (`[^|]+) \|", text_of(kind), re.MULTILINE)
    ]
    described = {(kind, name) for kind, row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told - described == set()
    assert len(told) > 15
