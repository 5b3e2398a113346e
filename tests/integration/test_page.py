"""
The page in a real browser, over a real agent with a service that blocks, and over a made-up crowd.

Uses app_blocks.py of tests/targets. At the end of each visit nothing may have gone wrong: see support/browser.py.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from bench.harness import free_ports
from msgspec.structs import replace
from support.accessible import barriers, needs_axe
from support.agent import Agent, Service, running, watching
from support.browser import browser, look_at, tabs_hide, visit
from support.captures import FakeCaptures
from support.crowd import crowd
from support.probed import TARGETS, probed
from support.waiting import wait_for

from vitalsd.model import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

ROW = "main tbody tr:not(.spacer)"
REFUSED = "net::ERR_CONNECTION_REFUSED"
KEY = "sessionStorage.getItem('vitalsd-key')"
LIVE = ".connection.live"
LOST = ".connection.lost"
RESTING = ".connection.resting"
TABS = 8
PATIENCE_MS = 60_000
SOME_SECONDS_MS, HALF_A_MINUTE_MS = 10_000, 31_000
HOSTILE = {
    "tags": "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "quotes": "\"'><marquee>`${alert(3)}`&amp;",
    "lines": "first\nsecond\r\nthird\x1b[31mred\x07",
    "right to left": "\u202egnp.elif\u2066 \u200bzero",
    "long": "n" * 10_000,
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One for all visits."""
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that blocks for 0.8 s now and then, and its agent; never in step with what is told each second."""
    agent = Agent(tmp_path_factory.mktemp("agent"), {"BLOCK_SECONDS": "0.8", "EVERY_SECONDS": "2.7"})
    port = str(free_ports(1)[0])
    command = ["uvicorn", "--app-dir", str(TARGETS), "--log-level", "warning", "--port", port, "app_blocks:app"]
    with running(agent, command, "--name", "shop") as service:
        agent.wait_scrape(
            "an incident",
            lambda scrape: bool(
                scrape.one("vitals_incidents_open", kind="stall", target="shop", severity="critical")
            ),
        )
        yield service


def origin(agent: Agent) -> str:
    """Of its page."""
    return f"http://127.0.0.1:{agent.control_port}"


def link(agent: Agent) -> str:
    """The path that it prints."""
    token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
    return f"/?token={token}"


def test_a_stall_is_on_the_page_while_it_lasts(chromium: Browser, service: Service) -> None:
    """Without a reload; the token is out of the address, and fleet and worker say in which function it is."""
    with visit(chromium, origin(service.agent)) as visiting:
        page = visiting.open(link(service.agent))
        page.wait_for_selector(f"{ROW}:has-text('shop')")
        page.wait_for_selector("tr[data-key='shop/0'] .state.stalled:has-text('stalled')")
        page.wait_for_selector(f"{ROW}:not(:has-text('stalled'))")
        assert page.url == f"{origin(service.agent)}/"
        page.wait_for_selector(".sentences:has-text('ask_slowly')")
        page.evaluate("location.hash = '#/targets/shop/0'")
        page.wait_for_selector("td.col-now:has-text('ask_slowly')", timeout=60_000)


def test_a_browser_with_the_cookie_alone_may_look(chromium: Browser, service: Service) -> None:
    """Another tab of the same browser has no key, and says so where something could be changed."""
    with visit(chromium, origin(service.agent)) as visiting:
        visiting.open(link(service.agent)).wait_for_selector(LIVE)
        other = visiting.page.context.new_page()
        other.goto(origin(service.agent))
        other.wait_for_selector(f"{ROW}:has-text('shop')")
        refused = other.evaluate(
            "fetch('/api/v1/captures', {method: 'POST', body: '{}'}).then((answer) => answer.status)"
        )
        assert refused == 401
        other.evaluate("location.hash = '#/targets/shop'")
        why = other.wait_for_selector("main button.primary:disabled").get_attribute("title")
        assert why == "This page may only look: open the link with the token to capture, stop or delete."
        assert other.inner_text(".about .mark") == "may only look"


def test_the_page_comes_back_with_the_agent(chromium: Browser, tmp_path: Path) -> None:
    """It says since when it is alone, goes on by itself with the next agent, and may still change things."""
    agent = Agent(tmp_path / "agent")
    agent.folder.mkdir()
    with probed(["blocks.py"], agent.segments) as service:
        beside = "--pid", str(service.pid), "--name", "served"
        with visit(chromium, origin(agent)) as visiting:
            visiting.excuse(REFUSED)
            visiting.excuse("net::ERR_INCOMPLETE_CHUNKED_ENCODING")
            with watching(agent, *beside) as process:
                page = visiting.open(link(agent))
                page.wait_for_selector(f"{ROW}:has-text('served')")
                key = page.evaluate(KEY)
                assert key and key not in link(agent)
                process.send_signal(signal.SIGKILL)
                page.wait_for_selector(LOST)
                page.wait_for_selector(".problems:has-text('Lost since')")
                wait_for("a try in vain", lambda: page.wait_for_timeout(100) or visiting.has_seen(REFUSED), 40)
                page.evaluate("location.hash = '#/rules'")  # whose module nobody has fetched yet
                page.wait_for_selector("h1:has-text('This view waits for the agent.')")
            with watching(agent, *beside):
                page.wait_for_selector(LIVE, timeout=40_000)
                page.wait_for_selector("h1:has-text('Rules')")
                page.evaluate("location.hash = '#/'")
                page.wait_for_selector(f"{ROW}:has-text('stalled')")
                assert page.evaluate("fetch('/api/v1/agent').then((answer) => answer.status)") == 200
                page.evaluate("location.hash = '#/targets/served'")  # a view that is not loaded yet
                page.wait_for_selector("button.primary:enabled")
                assert page.evaluate(KEY) == key


def test_tabs_leave_each_other_room(chromium: Browser) -> None:
    """A browser has six connections to a host: of eight tabs each shows rows, and the last asks for a capture."""
    with crowd(4, 4) as served, visit(chromium, served.origin) as visiting:
        served.view.captures = FakeCaptures(workers={"service-00": ("0", "1")})
        context = visiting.page.context
        tabs_hide(context)
        for number in range(TABS):
            page = context.new_page() if number else visiting.page
            look_at(page)
            page.goto(served.origin + served.link)
            page.wait_for_selector(ROW, timeout=PATIENCE_MS)
        page.evaluate("location.hash = '#/captures'")
        page.click("text=New capture")
        page.click("dialog button[type=submit]")
        page.wait_for_selector("text=waiting")
        assert len(served.view.captures.asked) == 1
        page.evaluate("location.hash = '#/'")
        for number, page in enumerate(context.pages):
            served.stall(f"Stall {number}.")
            look_at(page)
            page.wait_for_selector(f"main:has-text('Stall {number}.')", timeout=PATIENCE_MS)
            page.wait_for_selector(LIVE)


def test_a_hidden_tab_looks_now_and_then(chromium: Browser) -> None:
    """It lets go of its stream, and its title counts what is open all the same; once it is seen it tells all."""
    with crowd(4, 0, every_seconds=None) as served, visit(chromium, served.origin) as visiting:
        tabs_hide(visiting.page.context)
        visiting.page.clock.install()
        page = visiting.open(served.link)
        page.wait_for_selector(LIVE)
        page.evaluate("hide(true)")
        page.clock.fast_forward(SOME_SECONDS_MS)
        page.wait_for_selector(RESTING)
        assert "as of" in page.inner_text(RESTING)
        served.stall("It was blocked while nobody looked.")
        page.wait_for_timeout(3000)
        assert "(1)" not in page.title()
        page.clock.fast_forward(HALF_A_MINUTE_MS)
        wait_for("the title", lambda: page.wait_for_timeout(100) or "(1)" in page.title(), 60)
        page.wait_for_selector(RESTING)
        page.evaluate("hide(false)")
        page.wait_for_selector(LIVE)
        page.wait_for_selector("main:has-text('It was blocked while nobody looked.')")


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_service_chose_is_text(name: str, chromium: Browser) -> None:
    """In each view: nothing of it runs, becomes an element or a control, or breaks the page."""
    with crowd(3, 1, every_seconds=None) as served, visit(chromium, served.origin, viewport=NARROW) as visiting:
        incident = served.stall(name, culprit=Frame(name, name, 1), target=name, fault=name, advice=name)
        served.view.all_targets = tuple(
            replace(
                each,
                name=name,
                workers=tuple(replace(worker, target=name, command=name) for worker in each.workers),
            )
            for each in served.view.all_targets
        )
        page = visiting.open(served.link)
        page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
        page.wait_for_selector(ROW)
        for path in ("#/", "#/incidents", f"#/incidents/{incident.id}", "#/captures", "#/rules"):
            page.evaluate(f"location.hash = '{path}'")
            page.wait_for_selector("main h1")
            page.wait_for_timeout(300)
            told = page.inner_text("main")
            assert page.locator("main script, main img, main marquee").count() == 0
            assert not set(told) & set("\x1b\x07\u202e\u2066\u200b")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


NARROW = {"width": 400, "height": 800}
VIEWS = ("#/", "#/targets/service-00", "#/targets/service-00/1", "#/incidents", "#/captures", "#/rules")


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_each_view(scheme: str, chromium: Browser) -> None:
    """No barrier that axe-core calls serious, by day and by night."""
    with (
        crowd(30, 20, every_seconds=None) as served,
        visit(chromium, served.origin, color_scheme=scheme) as visiting,
    ):
        page = visiting.open(served.link)
        page.wait_for_selector(ROW)
        incident = served.view.all_incidents[0].id
        capture = served.view.captures.latest()[0].id
        found = {}
        for path in (*VIEWS, f"#/incidents/{incident}", f"#/captures/{capture}"):
            page.evaluate(f"location.hash = '{path}'")
            page.wait_for_selector("main h1")
            page.wait_for_timeout(300)
            found[path] = barriers(page)
        assert {path: each for path, each in found.items() if each} == {}


def test_a_crowd_costs_as_many_elements_as_are_seen(chromium: Browser) -> None:
    """Of 500 workers and 5,000 incidents a window's worth is in the page, however far one has scrolled."""
    with crowd(500, 5_000) as served, visit(chromium, served.origin) as visiting:
        page = visiting.open(served.link)
        page.wait_for_selector(ROW)
        assert page.locator("*").count() < 2_000
        page.evaluate("location.hash = '#/incidents'")
        page.wait_for_selector(ROW)
        assert page.locator("*").count() < 2_000
        new = served.stall("The one that came later.")
        page.wait_for_selector("text=The one that came later.")
        wait_for("its severity", lambda: page.locator(f"{ROW}:has-text('The one that came later.')").count() == 1)
        assert new.id in page.content()
