"""
The page in a real browser beside a real agent: a stall is seen while it lasts, and a restart ends nobody's page.

Uses app_blocks.py of tests/targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.agent import Agent, Scrape, free_ports, running, watching
from support.chromium import Page, browsing
from support.probed import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

SERVE = ["uvicorn", "--app-dir", str(TARGETS), "--log-level", "warning", "app_blocks:app", "--port"]
LIVE = "document.querySelector('.connection')?.textContent === 'live'"
LOST = "document.querySelector('.connection')?.textContent === 'connection lost'"
MAY_CHANGE = "document.querySelector('button.primary')?.disabled === false"
KEY = "sessionStorage.getItem('vitalsd-key')"


def link(agent: Agent) -> str:
    """What the agent prints at a terminal."""
    token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
    return f"http://127.0.0.1:{agent.control_port}/?token={token}"


def said(page: Page, selector: str) -> str:
    """The text of the first element that is called so."""
    return str(page.evaluate(f"document.querySelector({selector!r})?.textContent ?? ''"))


def has_a_loop(scrape: Scrape) -> bool:
    """Whether the service's loop is seen."""
    return bool(scrape.all("vitals_eventloop_busy_seconds_total", target="shop"))


def test_a_stall_is_on_the_page_while_it_lasts(tmp_path: Path) -> None:
    """With for how long, in the fleet; and with the function that it is in, in the view of the worker."""
    agent = Agent(tmp_path, {"BLOCK_SECONDS": "3", "EVERY_SECONDS": "6"})
    with running(agent, [*SERVE, str(free_ports(1)[0])], "--name", "shop"):
        agent.wait_scrape("a loop", has_a_loop)
        with browsing(tmp_path) as page:
            page.open(link(agent))
            page.wait(LIVE)
            page.wait("document.querySelector('tr[data-key=\"shop/0\"] .state.stalled') !== null")
            page.evaluate("location.hash = '#/targets/shop/0'")
            assert page.wait("document.querySelector('td.col-now')?.textContent.includes('ask_slowly')")
            page.evaluate("location.hash = '#/'")
            assert page.wait("document.querySelector('.sentences')?.textContent.includes('ask_slowly')")


def test_a_page_goes_on_after_a_restart_of_its_agent(tmp_path: Path) -> None:
    """It says since when it is lost, comes back by itself, may still change things, and loads further views."""
    agent = Agent(tmp_path)
    with browsing(tmp_path) as page:
        with watching(agent):
            page.open(link(agent))
            page.wait(LIVE)
            assert page.evaluate("location.href") == f"http://127.0.0.1:{agent.control_port}/"
            key = page.evaluate(KEY)
            assert key and key not in link(agent)
        page.wait(LOST)
        assert "Lost since" in said(page, ".problems")
        with watching(agent):
            page.wait(LIVE)
            page.evaluate("location.hash = '#/targets/vitalsd'")
            assert page.wait(MAY_CHANGE)
            assert page.evaluate(KEY) == key


def test_a_page_that_the_cookie_has_opened_may_only_look(tmp_path: Path) -> None:
    """It says so, and asks for nothing."""
    agent = Agent(tmp_path)
    with watching(agent), browsing(tmp_path) as page:
        page.open(link(agent))
        page.wait(LIVE)
        page.evaluate("sessionStorage.clear()")
        page.evaluate("location.hash = '#/targets/vitalsd'")
        page.evaluate("location.reload()")
        assert page.wait("document.querySelector('button.primary')?.disabled === true")
        assert page.wait("document.querySelector('.about .mark')?.hidden === false")
        assert said(page, ".about .mark") == "may only look"
        why = page.evaluate("document.querySelector('main button.primary').title")
        assert why == "This page may only look: open the link with the token to capture, stop or delete."
