"""Pages in Markdown as tests read them: sections, anchors as GitHub makes them, what stands in code."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = [
    "KINDS_AND_PAGES",
    "ROOT",
    "anchors",
    "blocks",
    "inline",
    "leads_somewhere",
    "quotes",
    "section",
    "text_of",
]

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS_AND_PAGES = {path.stem: path for path in sorted((ROOT / "docs" / "incidents").glob("*.md"))}
"""Kind of incident -> its page."""


def text_of(kind: str) -> str:
    """The page of a kind."""
    return KINDS_AND_PAGES[kind].read_text(encoding="utf-8")


def anchors(page: Path) -> list[str]:
    """Of its headings: in small letters, without what is no letter, number, `-` or `_`, spaces as `-`."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def leads_somewhere(link: str, root: Path = ROOT) -> bool:
    """Whether `docs/alerts.md#vitalsd-itself` is a file and a section of it."""
    name, _, anchor = link.partition("#")
    page = root / name
    return page.exists() and (not anchor or anchor in anchors(page))


def section(text: str, heading: str) -> str:
    """What stands below a heading of the second level, up to the next."""
    (found,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def quotes(text: str) -> list[str]:
    """Each as one line."""
    found = re.findall(r"(?:^> .*\n)+", text, re.MULTILINE)
    return [" ".join(line.removeprefix("> ") for line in each.splitlines()) for each in found]


def blocks(text: str, language: str) -> list[str]:
    """The lines of its blocks in one language; of what is to be typed that is none."""
    return [line for name, body in FENCE.findall(text) if name == language for line in body.splitlines() if line]


def inline(text: str) -> list[str]:
    """What stands between single backticks, outside of blocks."""
    return re.findall(r"`([^`]+)`", FENCE.sub("", text))
