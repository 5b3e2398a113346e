"""Each claim of docs/security.md names a test that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
CITED = sorted(set(re.findall(r"`((?:unit|integration|deploy|docs|golden|fuzz)/[\w/]+\.py(?:::\w+)?)`", PAGE)))


@pytest.mark.parametrize("cited", CITED)
def test_what_holds_a_claim_is_there(cited: str) -> None:
    """The file, and the function in it."""
    file, _, function = cited.partition("::")
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert not function or re.search(rf"^(?:async )?def {function}\(", text, re.MULTILINE)


def test_every_attack_has_one() -> None:
    """A row of an attack ends with the test that holds what stands in its way."""
    tables = re.findall(r"\| attack \|.*?(?:\n\n|\Z)", PAGE, re.DOTALL)
    rows = [row for table in tables for row in table.strip().splitlines()[2:]]
    assert len(rows) > 20
    assert [row for row in rows if "test_" not in row.rpartition(" | ")[2]] == []


def test_a_report_needs_no_address() -> None:
    """SECURITY.md names the repository's own private advisories, and no person or mailbox."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "private advisories" in text
    assert "@" not in text
