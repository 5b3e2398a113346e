"""
A real browser in which a test uses a page as people do: by mouse, by keyboard, in the dark, on a small screen.

A module starts one browser (half a second), and each test visits with a profile of its own (a tenth). At the end
of a visit nothing may have gone wrong that the test does not excuse: no error on the console, no exception, no
request that failed, none to another host. Nothing leaves the machine, whatever a page wants.

Playwright keeps a loop of its own in the thread: a test that visits cannot call `asyncio.run` there.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

__all__ = ["Visit", "browser", "look_at", "tabs_hide", "visit"]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WHY_NOT = "no Chromium is installed (Debian: apt install chromium)"
PATIENCE_MS = 20_000
GIVEN_UP = "net::ERR_ABORTED"
"""Of a request that the page itself gives up, by leaving or by an AbortController."""
HIDES = """
let hidden = false;
Object.defineProperty(Document.prototype, 'hidden', { get: () => hidden });
Object.defineProperty(Document.prototype, 'visibilityState', { get: () => (hidden ? 'hidden' : 'visible') });
window.hide = (now) => { hidden = now; document.dispatchEvent(new Event('visibilitychange')); };
"""
"""Without a window every tab is taken for the one in front."""


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser without a window, of which a module needs one; skips where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(WHY_NOT)
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make test` does")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",  # there is none for root, as in a container
                "--disable-dev-shm-usage",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
            ],
        )
        try:
            yield started
        finally:
            started.close()


class Visit:
    """One person before one page, and what went wrong meanwhile."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self._origin = origin
        self._problems: list[str] = []
        self._excused: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self._problems.append(f"exception: {error}"))
        page.on("request", self._asked)
        page.on("requestfailed", self._failed)

    def open(self, path: str = "/") -> Page:
        """Go there."""
        self.page.goto(self._origin + path)
        return self.page

    def wait(self, script: str) -> Any:
        """The first answer of a script that is something; Playwright's own way is forbidden by a strict policy."""
        return wait_for(script, lambda: self.page.evaluate(script) or None)

    def excuse(self, words: str) -> None:
        """A problem with these words is part of the test: it has to happen, and is none."""
        self._excused.append(words)

    def has_seen(self, words: str) -> bool:
        """Whether a problem with these words was there."""
        return any(words in problem for problem in self._problems)

    def check(self) -> None:
        """Nothing else went wrong, and what was excused did."""
        missing = [words for words in self._excused if not any(words in problem for problem in self._problems)]
        assert not missing, f"was excused and never happened: {missing}"
        left = [problem for problem in self._problems if not any(words in problem for words in self._excused)]
        assert not left, "\n".join(left)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._problems.append(f"console, {message.type}: {message.text} ({message.location.get('url')})")

    def _asked(self, request: Request) -> None:
        if "{0.scheme}://{0.netloc}".format(urlsplit(request.url)) != self._origin:
            self._problems.append(f"asked another host: {request.url[:200]}")

    def _failed(self, request: Request) -> None:
        if request.failure != GIVEN_UP:
            self._problems.append(f"failed: {request.method} {request.url[:200]}: {request.failure}")


def tabs_hide(context: BrowserContext) -> None:
    """Have the tabs of this profile that are opened from now on be hidden by `look_at`, and by nothing else."""
    context.add_init_script(HIDES)


def look_at(page: Page) -> None:
    """Go to this tab of its profile: the others are hidden."""
    for tab in page.context.pages:
        if tab is not page and tab.url.startswith("http"):
            tab.evaluate("hide(true)")
    if page.url.startswith("http"):
        page.evaluate("hide(false)")


@contextlib.contextmanager
def visit(browser: Browser, origin: str, **ways: Any) -> Iterator[Visit]:
    """
    A tab in a profile of its own, for pages of an origin (`http://127.0.0.1:PORT`), and a look at what goes wrong.

    `ways` are Playwright's of a context: viewport, color_scheme, reduced_motion, device_scale_factor, headers.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **ways})
    context.set_default_timeout(PATIENCE_MS)
    try:
        visiting = Visit(context.new_page(), origin)
        yield visiting
        visiting.check()
    finally:
        context.close()
