"""
What a page of a capture can do in a real browser that has the cookie of the agent: run its own scripts, no more.

Such a page holds names that the watched service has chosen, so it is taken for an attack.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.browser import browser
from support.captures import PROFILE
from support.desk import TOKEN, Desk, desk
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

ATTACK = """
<!doctype html><title>waiting</title><body><script>
const found = {};
const attempt = (name, act) => {
  try { found[name] = String(act()); } catch (error) { found[name] = error.name; }
};
attempt("origin", () => self.origin);
attempt("cookie", () => document.cookie);
attempt("storage", () => localStorage.length);
attempt("eval", () => eval("1"));
attempt("popup", () => window.open("/api/v1/targets"));
const form = document.createElement("form");
form.method = "post"; form.action = "/api/v1/captures"; document.body.append(form);
attempt("form", () => form.submit());
const image = new Image(); image.src = "/api/v1/rules?image"; document.body.append(image);
const script = document.createElement("script"); script.src = "/api/v1/rules?script"; document.body.append(script);
const frame = document.createElement("iframe"); frame.src = "/api/v1/rules?frame"; document.body.append(frame);
attempt("beacon", () => navigator.sendBeacon("/api/v1/captures", "{}"));
attempt("worker", () => new Worker("/api/v1/rules?worker"));
const wishes = [
  fetch("/api/v1/targets", {credentials: "include"}),
  fetch("/api/v1/captures", {method: "POST", credentials: "include", body: "{}"}),
].map(wish => wish.then(() => "answered", error => error.name));
Promise.all(wishes).then(answers => { found.fetch = answers; document.title = JSON.stringify(found); });
</script></body>
"""
GOES = '<!doctype html><script>location.href = "/api/v1/targets";</script>'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One for all attacks."""
    with browser() as started:
        yield started


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    """The control port of an agent."""
    with desk(tmp_path) as found:
        yield found


@pytest.fixture
def page(at: Desk, chromium: Browser) -> Iterator[Page]:
    """A tab of a profile in which the agent's page was opened by its link; what goes wrong in it is the attack."""
    profile = chromium.new_context()
    tab = profile.new_page()
    tab.goto(f"http://{at.address}/?token={TOKEN}")
    assert "vitalsd" in tab.title()
    tab.goto(f"http://{at.address}/api/v1/targets")
    assert "shop" in tab.inner_text("body")
    yield tab
    profile.close()


def place(at: Desk, body: str, sort: str) -> str:
    """Where a capture has this page."""
    at.captures.finish(PROFILE.id, {"page": body.encode()}, sort)
    return f"http://{at.address}/api/v1/captures/{PROFILE.id}/files/page"


def test_a_page_of_a_capture_runs_and_reaches_nothing(at: Desk, page: Page) -> None:
    """No origin, no cookie, no request: not by fetch, forms, images, frames, workers, beacons or windows."""
    at.requests.clear()
    page.goto(place(at, ATTACK, "text/html"))
    found = json.loads(wait_for("what it reached", lambda: page.title() != "waiting" and page.title()))
    assert found.pop("origin") == "null"
    assert found.pop("fetch") == ["TypeError", "TypeError"]
    assert found.pop("popup") == "null"
    assert found.pop("beacon") in ("true", "false")  # it says that it is queued, and is not sent
    found.pop("form")
    assert found == {
        "cookie": "SecurityError",
        "storage": "SecurityError",
        "eval": "EvalError",
        "worker": "SecurityError",
    }
    assert [path for path in at.requests if "files" not in path and "favicon" not in path] == []
    assert at.captures.asked == []


def test_a_page_that_goes_to_the_api_is_a_stranger_there(at: Desk, page: Page) -> None:
    """It may leave, as any page may; the cookie does not come along."""
    page.goto(place(at, GOES, "text/html"), wait_until="commit")
    page.wait_for_url("**/api/v1/targets")
    text = page.inner_text("body")
    assert "Send the token" in text
    assert "shop" not in text


@pytest.mark.parametrize("sort", ["application/json", "text/plain"])
def test_what_is_no_page_runs_nothing(at: Desk, page: Page, sort: str) -> None:
    """It is shown as text."""
    page.goto(place(at, ATTACK, sort))
    assert page.title() == ""
    assert "attempt" in page.inner_text("body")


def test_a_flame_graph_runs_its_own_script(at: Desk, page: Page) -> None:
    """An SVG by itself is a page too."""
    script = 'document.querySelector("text").id = "ran"'
    body = f'<svg xmlns="http://www.w3.org/2000/svg"><text>a</text><script>{script}</script></svg>'
    page.goto(place(at, body, "image/svg+xml"))
    assert page.get_attribute("text", "id") == "ran"
