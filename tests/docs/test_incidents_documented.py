"""docs/incidents.md against the detectors: every kind has its runbook, every field of growth its meaning."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vitalsd.detect.registry import make_detectors, make_target_detectors
from vitalsd.settings.model import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "incidents.md").read_text(encoding="utf-8")
HEADINGS = [kind for heading in re.findall(r"^## (.+)$", PAGE, re.MULTILINE) for kind in heading.split(", ")]
KINDS = [detector.kind for make in (make_detectors, make_target_detectors) for detector in make(Settings())]
GROWTH = ("leak", "growth", "fragmentation", "exhaustion", "fd_leak", "thread_leak", "task_leak")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_one_section(kind: str) -> None:
    """Whoever is paged by it finds what it means."""
    assert HEADINGS.count(kind) == 1


@pytest.mark.parametrize("kind", GROWTH)
def test_every_kind_of_growth_says_what_to_do(kind: str) -> None:
    """Not only what it is."""
    (section,) = [
        each for each in re.split(r"^## ", PAGE, flags=re.MULTILINE) if kind in each.split("\n")[0].split(", ")
    ]
    assert "What to do:" in section


def test_every_field_of_its_evidence_is_described() -> None:
    """Those of the golden recording, in a table."""
    lines = (ROOT / "tests" / "golden" / "backtest.jsonl").read_text(encoding="utf-8").splitlines()
    told = {name for line in lines for name in json.loads(line)["evidence"]}
    described = {
        name for row in re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert told - described == set()
    assert len(told) > 15
