"""
What the page costs a browser with 500 workers and 5,000 incidents, while a tenth of the workers changes each
second.

Targets are made up and served by the agent's own app, in Debian's Chromium, on the same two cores as the browser.
Script is V8's own account of it (`Performance.getMetrics`), divided by the updates that were told.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from bench.figures import Bar, Figure
from bench.harness import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

__all__ = ["BARS", "SHOWS", "run"]

SHOWS = "first paint, script of an update and memory of the page with 500 workers and 5,000 incidents"
BARS = {
    "first paint": Bar(1.0, "s"),
    "first rows": Bar(1.0, "s"),
    "script of an update": Bar(50.0, "ms"),
    "from a stall until it is shown": Bar(2.0, "s"),
    "memory in the tenth minute, of that in the first": Bar(1.1),
    "elements in the tenth minute, of those in the first": Bar(1.1),
}
WORKERS, INCIDENTS = 500, 5_000
UPDATES, QUICK_UPDATES = 30, 5
MINUTES, QUICK_MINUTES = 10.0, 0.5
ROW = "main tbody tr:not(.spacer)"


def run(quick: bool) -> list[Figure]:
    """All of it, once."""
    sys.path.append(str(ROOT / "tests"))
    from support.browser import browser, visit
    from support.crowd import crowd

    with crowd(WORKERS, INCIDENTS) as served, browser() as started, visit(started, served.origin) as visiting:
        page = visiting.open(served.link)
        page.wait_for_selector(ROW)
        paint, rows = _loaded(page)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        script = _script(session, QUICK_UPDATES if quick else UPDATES)
        began = time.monotonic()
        served.stall("The one of the bench, just now.")
        page.evaluate("location.hash = '#/incidents'")
        page.wait_for_selector("text=The one of the bench")
        shown = time.monotonic() - began
        page.evaluate("location.hash = '#/'")
        page.wait_for_selector(ROW)
        memory, elements = _kept(session, QUICK_MINUTES if quick else MINUTES)
    found = (paint, rows, script, shown, memory, elements)
    return [Figure(name, value, bar.unit, bar) for (name, bar), value in zip(BARS.items(), found, strict=True)]


def _loaded(page: Page) -> tuple[float, float]:
    """Seconds until something was painted, and until there were rows."""
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    rows = page.evaluate("performance.now()")
    return paint / 1000, rows / 1000


def _script(session: CDPSession, updates: int) -> float:
    """Milliseconds of script for each second, in which there is one update."""
    before = _metrics(session)["ScriptDuration"]
    time.sleep(updates)
    return 1000 * (_metrics(session)["ScriptDuration"] - before) / updates


def _kept(session: CDPSession, minutes: float) -> tuple[float, float]:
    """How memory and elements at the end compare to those after a tenth of the time, garbage collected."""
    time.sleep(6.0 * minutes)
    before = _collected(session)
    time.sleep(54.0 * minutes)
    after = _collected(session)
    return after["JSHeapUsedSize"] / before["JSHeapUsedSize"], after["Nodes"] / before["Nodes"]


def _collected(session: CDPSession) -> dict[str, float]:
    session.send("HeapProfiler.collectGarbage")
    return _metrics(session)


def _metrics(session: CDPSession) -> dict[str, float]:
    return {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
