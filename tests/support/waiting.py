"""Waiting for something to become true, with a deadline and a word on what was missing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
PATIENCE_SECONDS = 60.0
"""Costs nothing where it comes; a host that others load too takes its time."""
SOONEST_SECONDS, LATEST_SECONDS = 0.02, 0.1
"""Between two looks: what has not come at once takes a while."""
LOOKING_SHARE = 0.25
"""Of the time, at most, is spent on looks: one that starts a command would take a processor for itself."""
LONGEST_SECONDS = 1.0


def wait_for(what: str, look: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """The first answer of `look` that is not None or False; AssertionError after `seconds`."""
    began = time.monotonic()
    while True:
        before = time.monotonic()
        answer = look()
        if answer is not None and answer is not False:
            return answer
        now = time.monotonic()
        assert now - began < seconds, f"waited {seconds:g} s for {what}"
        soon = min(max((now - began) / 20, SOONEST_SECONDS), LATEST_SECONDS)
        time.sleep(max(soon, min((now - before) * (1 / LOOKING_SHARE - 1), LONGEST_SECONDS)))
