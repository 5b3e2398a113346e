"""docs/commands.md and the page of the manual, byte for byte what the commands say of themselves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from vitalsd.cli import NAMES
from vitalsd.cli.pages import as_man, as_markdown

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_pages_say_what_the_commands_take() -> None:
    """An option that is added or changed is on both; `scripts/command-pages` writes them anew."""
    assert as_markdown() == (DOCS / "commands.md").read_text(encoding="utf-8")
    assert as_man() == (DOCS / "man" / "vitalsd.1").read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", ["40", "200"])
def test_they_are_the_same_on_every_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes them anew changes nothing but what has changed."""
    monkeypatch.setenv("COLUMNS", columns)

    assert as_markdown() == (DOCS / "commands.md").read_text(encoding="utf-8")


def test_the_manual_is_well_formed() -> None:
    """Nothing in it is taken for troff that is text, and it has every command and every exit code."""
    page = DOCS / "man" / "vitalsd.1"
    for name in NAMES:
        assert f".SS {name}\n" in page.read_text()
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed: scripts/debian-packages has it")
    told = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True)
    assert [line for line in told.stdout.splitlines() if "missing date" not in line] == []
