"""
What a service has named, as an alert may quote it: `<lambda>` is `‹lambda›` there.

Who is told in the end may take `<` and `>` for more than text: to Slack `<!channel>` wakes everybody, and
`<http://evil|click>` is a link. A function of JavaScript may have any name, and templates of messages do not
escape it. Pure; what else a name could do was taken out when its incident was opened.
"""

from __future__ import annotations

__all__ = ["quoted"]

ANGLES = str.maketrans("<>", "‹›")


def quoted(text: str) -> str:
    """The same, without what makes a link or a mention of it."""
    return text.translate(ANGLES)
