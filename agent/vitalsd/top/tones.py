"""What is marked how: with the sixteen colours that the terminal's owner has chosen, and never by colour alone."""

from __future__ import annotations

from rich.style import Style

__all__ = ["STYLES"]

STYLES = {
    "": Style(),
    "critical": Style(color="red", bold=True),
    "warning": Style(color="yellow"),
    "info": Style(color="cyan"),
    "good": Style(color="green"),
    "faint": Style(dim=True),
    "head": Style(bold=True),
    "key": Style(bold=True, color="cyan"),
    "chosen": Style(reverse=True),
}
