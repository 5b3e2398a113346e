"""What tests of the page rely on: a visit tells of everything that goes wrong in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.accessible import barriers, needs_axe
from support.browser import Visit, browser, visit
from support.pieces import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

HEAD = '<!doctype html><html lang="en"><head><title>A page</title>'
PIECES = {
    "/favicon.ico": b"",
    "/index.html": f'{HEAD}</head><body><main><h1>Well</h1><input aria-label="Search"></main></body></html>',
    "/bare.html": f"{HEAD}</head><body><main><h1>Well</h1><input></main></body></html>",
    "/throws.html": f'{HEAD}<script src="/throws.js"></script></head><body>...</body></html>',
    "/throws.js": "throw new Error('of this page')",
    "/complains.html": f'{HEAD}<script src="/complains.js"></script></head><body>...</body></html>',
    "/complains.js": "console.error('it complains')",
    "/misses.html": f'{HEAD}<script src="/nowhere.js"></script></head><body>...</body></html>',
    "/inline.html": f"{HEAD}<script>document.title = 'ran'</script></head><body>...</body></html>",
    "/leaves.html": f'{HEAD}</head><body><a href="http://elsewhere.example/">Away</a></body></html>',
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser."""
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Of the pages."""
    with serving(PIECES) as served:
        yield served


def test_a_good_page_is_no_problem(chromium: Browser, origin: str) -> None:
    """Where nothing goes wrong the visit ends in silence."""
    with visit(chromium, origin) as visitor:
        assert visitor.open().title() == "A page"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/throws.html", "exception: of this page"),
        ("/complains.html", "console, error: it complains"),
        ("/misses.html", "404"),
        ("/inline.html", "Content Security Policy"),
    ],
)
def test_what_goes_wrong_fails_the_test(chromium: Browser, origin: str, path: str, told: str) -> None:
    """An exception, an error on the console, a file that is missing, a script that the policy forbids."""
    with pytest.raises(AssertionError, match=told), visit(chromium, origin) as visitor:
        visitor.open(path)


def test_nothing_leaves_the_machine(chromium: Browser, origin: str) -> None:
    """Who is led to another host does not come there, and the test fails."""

    def leave(visitor: Visit) -> None:
        page = visitor.open("/leaves.html")
        with page.expect_event("requestfailed"):
            page.get_by_text("Away").click()

    with pytest.raises(AssertionError, match=r"asked another host: http://elsewhere\.example/"):  # noqa: SIM117
        with visit(chromium, origin) as visitor:
            leave(visitor)


def test_what_is_excused_has_to_happen(chromium: Browser, origin: str) -> None:
    """A test that expects a problem says so, and fails where there is none."""
    with visit(chromium, origin) as visitor:
        visitor.open("/throws.html")
        visitor.excuse("of this page")
    with pytest.raises(AssertionError, match="never happened"), visit(chromium, origin) as visitor:
        visitor.excuse("of this page")


def test_each_visit_is_somebody_new(chromium: Browser, origin: str) -> None:
    """What one has kept in the browser the next one does not find."""
    with visit(chromium, origin) as visitor:
        visitor.open().evaluate("() => localStorage.setItem('kept', 'it')")
    with visit(chromium, origin) as visitor:
        assert visitor.open().evaluate("() => localStorage.getItem('kept')") is None


@needs_axe
def test_barriers_are_told(chromium: Browser, origin: str) -> None:
    """A field without a name is a barrier, one with a name is none; a strict policy keeps nobody from looking."""
    with visit(chromium, origin) as visitor:
        assert barriers(visitor.open()) == []
        assert [each.split("(")[1] for each in barriers(visitor.open("/bare.html"))] == ["label), at input"]
