"""Which format a scraper takes, by its `Accept`, the way Prometheus's own libraries decide it. Pure."""

from __future__ import annotations

import re

__all__ = ["OLDER", "OPENMETRICS", "content_type"]

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
NEWER = "text/plain; version=1.0.0; charset=utf-8"
OLDER = "text/plain; version=0.0.4; charset=utf-8"
"""What is written is the same in both: names of ours need no escaping."""
VERSION = re.compile(r"\s*version=(\d{1,4})(?!\d)")


def content_type(accept: str) -> str:
    """The first that we have of what is accepted; without any, the format that everybody reads."""
    for accepted in accept.split(","):
        kind, *parameters = accepted.split(";")
        majors = [int(found[1]) for parameter in parameters if (found := VERSION.match(parameter)) is not None]
        is_new = bool(majors) and majors[0] >= 1
        if kind.strip() == "application/openmetrics-text" and (is_new or not majors):
            return OPENMETRICS
        if kind.strip() == "text/plain" and is_new:
            return NEWER
    return OLDER
