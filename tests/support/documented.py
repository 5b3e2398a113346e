"""Snippets of the documentation, as a person would copy them."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["alertmanager_config", "capture_rules", "snippets"]

DOCS = Path(__file__).parents[2] / "docs"


def snippets(page: str, begins: str) -> list[str]:
    """Those in YAML of a page of `docs` that begin like this."""
    found = re.findall(r"(?ms)^```yaml\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"))
    return [text for text in found if text.startswith(begins)]


def alertmanager_config() -> str:
    """The whole configuration of an Alertmanager that asks for captures."""
    (config,) = snippets("alerts.md", "route:")
    return config


def capture_rules() -> str:
    """The rules of an alert that asks for one."""
    (rules,) = snippets("alerts.md", "groups:")
    return rules
