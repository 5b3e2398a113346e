"""
What a page of a capture can do in a real browser that has the cookie of the agent: run its own scripts, no more.

Such a page holds names that the watched service has chosen, so it is taken for an attack.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.captures import PROFILE
from support.chromium import Page, browsing
from support.desk import TOKEN, Desk, desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    """The control port of an agent."""
    with desk(tmp_path) as found:
        yield found


@pytest.fixture
def page(at: Desk, tmp_path: Path) -> Iterator[Page]:
    """A browser in which the agent's page was opened by its link."""
    with browsing(tmp_path) as tab:
        tab.open(f"http://{at.address}/?token={TOKEN}")
        assert "vitalsd" in tab.evaluate("document.title")
        tab.open(f"http://{at.address}/api/v1/targets")
        assert "shop" in tab.evaluate("document.body.innerText")
        yield tab


def place(at: Desk, body: str, sort: str) -> str:
    """Where a capture has this page."""
    at.captures.finish(PROFILE.id, {"page": body.encode()}, sort)
    return f"http://{at.address}/api/v1/captures/{PROFILE.id}/files/page"


def test_a_page_of_a_capture_runs_and_reaches_nothing(at: Desk, page: Page) -> None:
    """No origin, no cookie, no request: not by fetch, forms, images, frames, workers, beacons or windows."""
    at.requests.clear()
    page.open(place(at, ATTACK, "text/html"))
    found = json.loads(page.wait("document.title != 'waiting' && document.title"))
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
    page.open(place(at, GOES, "text/html"))
    text = page.wait("document.body && document.body.innerText.includes('error') && document.body.innerText")
    assert "Send the token" in text
    assert "shop" not in text


@pytest.mark.parametrize("sort", ["application/json", "text/plain"])
def test_what_is_no_page_runs_nothing(at: Desk, page: Page, sort: str) -> None:
    """It is shown as text."""
    page.open(place(at, ATTACK, sort))
    assert page.evaluate("document.title") == ""
    assert "attempt" in page.evaluate("document.body.innerText")


def test_a_flame_graph_runs_its_own_script(at: Desk, page: Page) -> None:
    """An SVG by itself is a page too."""
    script = 'document.querySelector("text").id = "ran"'
    body = f'<svg xmlns="http://www.w3.org/2000/svg"><text>a</text><script>{script}</script></svg>'
    page.open(place(at, body, "image/svg+xml"))
    assert page.evaluate("document.querySelector('text').id") == "ran"
