"""The README and the other pages: every command is told of, every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.pages import leads_somewhere

from vitalsd.cli import NAMES, build_parser, load

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)


@pytest.mark.parametrize("command", [load(name) for name in NAMES], ids=NAMES)
def test_every_command_is_in_the_readme(command: object) -> None:
    """Nobody has to find a command by chance."""
    assert f"vitalsd {command.name}" in (ROOT / "README.md").read_text()


def test_every_command_says_what_it_does() -> None:
    """`vitalsd --help` has a line for each command."""
    text = build_parser().format_help()

    assert [name for name in NAMES if not re.search(rf"^\s+{name}\s+\w", text, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """Links within the project point at files that exist, and at headings that they have."""
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    local = [f"{page.name}{link}" if link.startswith("#") else link for link in links if "://" not in link]

    assert [link for link in local if not leads_somewhere(link, page.parent)] == []


def test_make_targets_named_in_the_readme_exist() -> None:
    """`make something` in the README is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text())) <= targets
