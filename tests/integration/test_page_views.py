"""Incidents, captures and rules in a browser, as they are used on call: by mouse, by keyboard, only to look."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from golden.test_incident_texts import opened
from msgspec.structs import replace
from support.accessible import barriers, needs_axe
from support.browser import Visit, browser, visit
from support.captures import PROFILE, REFUSED, FakeCaptures
from support.crowd import Crowd, crowd
from support.views import BLOCKING

from vitalsd.capture.model import Refusal
from vitalsd.detect.registry import RuleState
from vitalsd.model import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Route

HOSTILE = "<img src=x onerror=document.title='taken'>\u202egnp.exe\x1b[31m"
PLACE = "service-00"
SPEEDSCOPE = b"""{
  "shared": {"frames": [{"name": "parse", "file": "/srv/shop/orders.py", "line": 41}]},
  "profiles": [{
    "type": "sampled", "name": "MainThread", "unit": "seconds", "startValue": 0, "endValue": 1, "samples": [[0]],
    "weights": [1]
  }]
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser."""
    with browser() as started:
        yield started


@pytest.fixture
def served() -> Iterator[Crowd]:
    """A few workers, an incident of every kind, two captures; nothing changes but what a test does."""
    with crowd(4, 0, every_seconds=None) as made:
        latest = {incident.id: incident for incident in (BLOCKING, *opened())}
        made.view.all_incidents = tuple(latest.values())
        made.view.captures = FakeCaptures(workers={PLACE: ("0", "1")})
        yield made


@pytest.fixture
def visitor(chromium: Browser, served: Crowd) -> Iterator[Visit]:
    """Somebody with the link, where nothing goes wrong unseen."""
    with visit(chromium, served.origin) as visiting:
        visiting.open(served.link)
        visiting.page.wait_for_selector("text=live")
        yield visiting


def go(page: Page, place: str) -> None:
    """To a view, until it is there."""
    page.evaluate("(place) => { location.hash = place; }", place)
    page.wait_for_selector("main:not([aria-busy]) h1")


def test_every_kind_of_incident_is_told(visitor: Visit, served: Crowd) -> None:
    """The sentence, the runbook, what was measured, what happened; a browser complains of none."""
    for incident in served.view.all_incidents:
        go(visitor.page, f"#/incidents/{incident.id}")
        visitor.page.wait_for_selector(".timeline li")
        told = visitor.page.inner_text("main")
        without = incident.summary.replace(f"; {incident.advice}", "") if incident.advice else incident.summary
        assert _words(without) in _words(told)
        assert _words(incident.advice) in _words(told)
        assert f"docs/incidents/{incident.kind}.md" in told
        heading, _, proof = visitor.page.inner_text(".its-evidence").partition("\n")
        assert (heading, proof.strip() != "") == ("Evidence", True), incident.kind
        stacks = incident.evidence.get("stacks") or ()
        assert all(stack["frames"][0]["function"] in proof for stack in stacks[:1]), incident.kind
        cause = visitor.page.inner_text(".its-cause")
        assert _words(incident.evidence.get("reason", "")) in _words(cause), incident.kind
        assert (incident.cause or "").replace("_", " ") in cause, incident.kind


def test_a_runbook_is_linked_where_it_is_known_where_people_read_it(visitor: Visit, served: Crowd) -> None:
    """In another tab, which is not told where they come from; until then it is a path."""
    place = f"#/incidents/{BLOCKING.id}"
    go(visitor.page, place)
    assert visitor.page.query_selector("main a[target=_blank]") is None
    served.view.runbooks = "https://git.example.com/docs/"
    visitor.page.reload()
    link = visitor.page.wait_for_selector("main a[target=_blank]")
    assert link.get_attribute("href") == "https://git.example.com/docs/docs/incidents/stall.md#blocking_cpu"
    assert link.get_attribute("rel") == "noreferrer"


def test_a_hostile_name_is_text(visitor: Visit, served: Crowd) -> None:
    """Nothing of it becomes an element, and what turns the writing is seen; in the list, in full and as JSON."""
    culprit = Frame(HOSTILE, f"/srv/{HOSTILE}.py", 1)
    stacks = [{"samples": 1, "frames": [{"function": HOSTILE, "file": HOSTILE, "line": 1}]}]
    found = served.stall(
        HOSTILE, culprit=culprit, evidence={"reason": HOSTILE, HOSTILE: HOSTILE, "stacks": stacks}
    )
    for place in ("#/incidents", f"#/incidents/{found.id}"):
        go(visitor.page, place)
        visitor.page.wait_for_selector("text=<img src=x")
        for fold in visitor.page.query_selector_all("details"):
            fold.evaluate("(each) => { each.open = true; }")
        assert visitor.page.query_selector_all("main img") == []
        assert "\u202e" not in visitor.page.inner_text("main")
    assert "taken" not in visitor.page.title()


def test_the_list_is_filtered_by_what_stands_in_the_address(visitor: Visit, served: Crowd) -> None:
    """Filters are kept there, so that the way back and a link have them; and words find a culprit's file."""
    page = visitor.page
    go(page, "#/incidents")
    page.select_option("#filter-kind", "pool_saturation")
    assert page.evaluate("location.hash") == "#/incidents?kind=pool_saturation"
    _rows(page, 1)
    page.click("tbody a")
    page.wait_for_selector(".timeline")
    page.go_back()
    _rows(page, 1)
    go(page, "#/incidents?text=fan_out+orders.py")
    _rows(page, 1)
    assert "starvation" in page.inner_text("tbody tr[data-key]")
    page.fill("#filter-text", "zebra")
    page.wait_for_selector("text=No incident fits")


def test_open_incidents_come_first_and_the_keyboard_opens_one(visitor: Visit, served: Crowd) -> None:
    """The worst of those that are open on top; arrows move, Enter opens."""
    page = visitor.page
    go(page, "#/incidents")
    _rows(page, len(served.view.all_incidents))
    states = page.eval_on_selector_all("tbody tr[data-key]", "(rows) => rows.map((row) => row.innerText)")
    ranks = [("resolved" in row, "critical" not in row) for row in states]
    assert [rank[0] for rank in ranks] == sorted(rank[0] for rank in ranks)
    open_ones = [rank[1] for rank in ranks if not rank[0]]
    assert open_ones == sorted(open_ones)
    page.focus("tbody tr[data-key]")
    page.keyboard.press("ArrowDown")
    wanted = page.evaluate("document.activeElement.dataset.key")
    page.keyboard.press("Enter")
    page.wait_for_selector(".timeline")
    assert page.evaluate("location.hash") == f"#/incidents/{wanted}"


def test_an_incident_that_goes_on_is_followed(visitor: Visit, served: Crowd) -> None:
    """What changes is drawn, and what somebody has unfolded stays unfolded."""
    page = visitor.page
    found = served.stall("It was blocked once.")
    go(page, f"#/incidents/{found.id}")
    page.wait_for_selector("text=It was blocked once.")
    page.click("details.json > summary")
    later = replace(found, summary="It was blocked again.", count=2, updated_at=found.updated_at + 1)
    served.view.all_incidents = (later, *served.view.all_incidents[1:])
    page.wait_for_selector("h1:has-text('It was blocked again.')")
    assert page.get_attribute("details.json", "open") is not None


def test_an_incident_that_is_forgotten_is_over(visitor: Visit, served: Crowd) -> None:
    """The view that is open asks how it ended; what was to be done is no longer said, and no list has it open."""
    page = visitor.page
    many = [served.stall("It was blocked.", advice="restart it") for _ in range(20)]
    there = sum(each.state == "open" and each.severity != "info" for each in served.view.all_incidents)
    visitor.wait(f"document.title.startsWith('({there}) ')")
    go(page, f"#/incidents/{many[0].id}")
    page.wait_for_selector("text=What to do:")
    served.view.stored_incidents = tuple(
        replace(each, state="resolved", resolved_at=each.opened_at, advice="") for each in many
    )
    served.view.all_incidents = served.view.all_incidents[len(many) :]
    page.wait_for_selector("text=What to do:", state="detached")
    page.wait_for_selector(".crumbs:has-text('resolved')")
    visitor.wait(f"document.title.startsWith('({there - len(many)}) ')")
    go(page, "#/incidents")
    page.wait_for_selector("text=Show older ones")
    assert page.locator("main tbody tr:has-text('It was blocked.')").count() == 0


def test_one_that_the_agent_has_lost_is_over_too(visitor: Visit, served: Crowd) -> None:
    """It has no disk that would tell how it ended; who reads it must not act on what was so."""
    page = visitor.page
    found = served.stall("It was blocked; restart it.", advice="restart it")
    go(page, "#/incidents")
    page.wait_for_selector("main tbody tr:has-text('It was blocked')")
    go(page, f"#/incidents/{found.id}")
    page.wait_for_selector("text=What to do:")
    served.view.all_incidents = served.view.all_incidents[1:]
    page.wait_for_selector("text=What to do:", state="detached")
    page.wait_for_selector(".crumbs:has-text('resolved')")
    visitor.excuse("404")


def test_older_incidents_are_asked_for(chromium: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream tells the latest; of thousands the API tells a thousand, which say that there are more."""
    with crowd(4, 5_000, every_seconds=None) as served, visit(chromium, served.origin) as visiting:
        latest = served.view.all_incidents[:50]
        monkeypatch.setattr(served.view, "incidents", lambda: latest)
        page = visiting.open(served.link)
        go(page, "#/incidents")
        _rows(page, 50)
        page.click("text=Show older ones")
        page.wait_for_selector("text=950 more; the agent tells 1,000 at a time")
        _rows(page, 1_000)


def test_thousands_of_incidents_cost_what_some_do(chromium: Browser) -> None:
    """As many are elements as fit the window, whatever there are, and the last of them can be reached."""
    with crowd(4, 5_000, every_seconds=None) as served, visit(chromium, served.origin) as visiting:
        page = visiting.open(served.link)
        go(page, "#/incidents")
        _rows(page, 5_000)
        page.focus("tbody tr[data-key]")
        page.keyboard.press("End")
        page.wait_for_selector("tbody tr[aria-rowindex='5001']")
        assert page.locator("tbody tr").count() < 80


def test_a_capture_is_asked_for_and_followed(visitor: Visit, served: Crowd) -> None:
    """In the dialog each kind has its price; then it is seen how far it is, and what came of it."""
    page = visitor.page
    go(page, "#/captures")
    page.click("text=New capture")
    page.check("#ask-kind-cpu")
    page.fill("#ask-seconds", "5")
    page.select_option("#ask-worker", "1")
    page.click("dialog button[type=submit]")
    page.wait_for_selector("text=waiting")
    asked = served.view.captures.asked[-1]
    assert (asked["kind"], asked["target"], asked["worker"], asked["seconds"]) == ("cpu", PLACE, "1", 5.0)
    name = page.evaluate("location.hash.split('/').pop()")
    served.view.captures.shares[name] = 0.4
    served.view.captures.change(name, state="running")
    page.wait_for_selector("text=40 % done")
    page.click("text=Stop early and keep what there is")
    page.wait_for_selector("main >> text=stopping")
    served.view.captures.finish(name, {"profile.speedscope.json": SPEEDSCOPE}, "application/json", engine="py-spy")
    page.click("text=Open the profile")
    page.wait_for_selector("canvas")


def test_what_ends_behind_the_question_is_kept(visitor: Visit, served: Crowd) -> None:
    """There is nothing to cancel any more: the question goes, and so it does for who has answered it just then."""
    page = visitor.page
    asked = ask_for_a_profile(page)
    served.view.captures.change(asked, state="running")
    page.wait_for_selector("text=Stop early and keep")
    page.click("main button:has-text('Cancel')")
    page.wait_for_selector("text=Cancel this capture?")
    finish(served, asked)
    page.wait_for_selector("dialog", state="detached")
    page.wait_for_selector("text=Open the profile")
    visitor.excuse("409")
    other = ask_for_a_profile(page)
    page.click("main button:has-text('Cancel')")
    page.wait_for_selector("text=Cancel this capture?")

    def ends_on_the_way(route: Route) -> None:
        finish(served, other)
        route.continue_()

    page.route("**/captures/*/cancel", ends_on_the_way)
    page.click("dialog >> text=Cancel it")
    page.wait_for_selector("main [role=alert]:has-text('has ended already: it is done')")
    assert served.view.captures.one(other) is not None


def test_a_capture_that_is_cancelled_says_so(visitor: Visit, served: Crowd) -> None:
    """Nothing of it is kept, and nothing is deleted."""
    page = visitor.page
    asked = ask_for_a_profile(page)
    page.click("main button:has-text('Cancel')")
    page.click("dialog >> text=Cancel it")
    page.wait_for_selector("main >> text=cancelled")
    capture = served.view.captures.one(asked)
    assert capture is not None and capture.state == "cancelled"


def test_a_refusal_is_told_in_the_dialog(visitor: Visit, served: Crowd) -> None:
    """In the policy's own sentence; what was chosen is still there."""
    served.view.captures.refusal = Refusal("cooldown", "The last was capture 1n4.", 240.0)
    page = visitor.page
    visitor.excuse("429")
    go(page, "#/captures")
    page.click("text=New capture")
    page.check("#ask-kind-memory")
    page.click("dialog button[type=submit]")
    page.wait_for_selector("dialog [role=alert]:has-text('The last was capture 1n4: ask again in 4 min')")
    told = page.inner_text("dialog [role=alert]")
    assert told.endswith(f", or now with “{page.inner_text('label:has(#ask-force)').strip()}”.")
    assert page.is_checked("#ask-kind-memory")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")


def test_a_capture_is_deleted_only_after_a_question(visitor: Visit, served: Crowd) -> None:
    """Escape leaves it; who says yes comes back to the list, where it is no more."""
    page = visitor.page
    go(page, f"#/captures/{PROFILE.id}")
    page.click("main >> text=Delete")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert served.view.captures.one(PROFILE.id) is not None
    page.click("main >> text=Delete")
    page.click("dialog >> text=Delete it")
    page.wait_for_url("**#/captures")
    assert served.view.captures.one(PROFILE.id) is None
    _rows(page, 1)


def test_a_question_ends_with_its_view(visitor: Visit, served: Crowd) -> None:
    """Who goes back has not answered it."""
    page = visitor.page
    go(page, "#/captures")
    go(page, f"#/captures/{PROFILE.id}")
    page.click("main >> text=Delete")
    page.wait_for_selector("dialog")
    page.go_back()
    page.wait_for_selector("dialog", state="detached")
    assert served.view.captures.one(PROFILE.id) is not None


def test_a_capture_is_pinned(visitor: Visit, served: Crowd) -> None:
    """And the button says that it is."""
    page = visitor.page
    go(page, f"#/captures/{PROFILE.id}")
    page.click("button[aria-pressed=false]")
    page.wait_for_selector("button[aria-pressed=true]")
    assert served.view.captures.all[0].pinned


def test_text_is_shown_in_place(visitor: Visit, served: Crowd) -> None:
    """As soon as it is unfolded, without what would turn the writing."""
    files = {"stacks.txt": "MainThread\n  parse \u202e(orders.py:41)\n".encode()}
    served.view.captures.finish(PROFILE.id, files, "text/plain")
    page = visitor.page
    go(page, f"#/captures/{PROFILE.id}")
    page.click("text=Show it here")
    page.wait_for_selector("pre:has-text('MainThread')")
    assert page.inner_text(".files pre") == "MainThread\n  parse \\u{202e}(orders.py:41)\n"


def test_who_may_only_look_is_told_why(chromium: Browser, served: Crowd) -> None:
    """A tab that was opened by the cookie alone: what changes something is disabled, all else is there."""
    with visit(chromium, served.origin) as visiting:
        visiting.open(served.link)
        second = visiting.page.context.new_page()
        second.goto(f"{served.origin}/#/captures/{PROFILE.id}")
        second.wait_for_selector("text=Where the time went")
        for words in ("Delete", "Pinned", "Take another"):
            assert second.is_disabled(f"main button:has-text('{words}')")
        assert "may only look" in second.inner_text("main")


def test_rules_say_why_they_have_not_fired(visitor: Visit, served: Crowd) -> None:
    """By worker; one that cannot judge says what it lacks, and a filter leaves only such."""
    served.view.all_rules = (
        RuleState("stall", PLACE, "0", "unavailable", "no right to read its memory: CAP_SYS_PTRACE"),
        RuleState("leak", PLACE, "0", "quiet", "no window of memory is complete"),
        RuleState("stall", PLACE, "1", "fired", "Worker 1 was blocked."),
    )
    page = visitor.page
    go(page, "#/rules")
    page.wait_for_selector("text=no window of memory is complete")
    assert page.locator("details.group").count() == 2
    page.select_option("#filter-state", "unavailable")
    page.wait_for_selector("text=no window of memory is complete", state="detached")
    assert "CAP_SYS_PTRACE" in page.inner_text("main")
    assert page.locator("details.group").count() == 1


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("#/incidents/gone", "No incident is called `gone`"),
        ("#/captures/gone", "No capture is called `gone`"),
        (f"#/captures/{PROFILE.id}/gone.speedscope.json", "has no such file"),
        (f"#/captures/{PROFILE.id}/profile.bin", "profile.bin"),
    ],
)
def test_what_is_not_there_is_told(visitor: Visit, place: str, told: str) -> None:
    """In the API's own sentence, with nothing to do to it; a link may be older than what it leads to."""
    if "gone" in place:
        visitor.excuse("404")
    go(visitor.page, place)
    visitor.page.wait_for_selector("main [role=alert]:not(:empty)")
    assert told in visitor.page.inner_text("main")
    assert visitor.page.locator("main button").count() == 0


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_them(chromium: Browser, served: Crowd, scheme: str) -> None:
    """Nothing that axe-core takes for a barrier, in no view and in no dialog."""
    served.view.captures.all = (PROFILE, REFUSED)
    worst = served.view.all_incidents[-1]
    with visit(chromium, served.origin, color_scheme=scheme) as visiting:
        page = visiting.open(served.link)
        page.wait_for_selector("text=live")
        places = ("#/incidents", f"#/incidents/{worst.id}", "#/captures", f"#/captures/{PROFILE.id}", "#/rules")
        for place in places:
            go(page, place)
            assert barriers(page, "moderate", "serious", "critical") == [], place
        go(page, "#/captures")
        page.click("text=New capture")
        assert barriers(page, "moderate", "serious", "critical") == []


@pytest.mark.parametrize("width", [320, 2560])
def test_no_view_is_wider_than_the_window(chromium: Browser, served: Crowd, width: int) -> None:
    """Tables scroll by themselves; the page does not."""
    with visit(chromium, served.origin, viewport={"width": width, "height": 700}) as visiting:
        page = visiting.open(served.link)
        page.wait_for_selector("text=live")
        for incident in served.view.all_incidents:
            go(page, f"#/incidents/{incident.id}")
            page.wait_for_selector(".timeline li")
            assert page.evaluate("document.querySelector('main').scrollWidth") <= width, incident.kind
        for place in ("#/incidents", "#/captures", f"#/captures/{PROFILE.id}", "#/rules"):
            go(page, place)
            assert page.evaluate("document.querySelector('main').scrollWidth") <= width, place


def ask_for_a_profile(page: Page) -> str:
    """The id of a CPU capture that was asked for, whose view is there."""
    go(page, "#/captures")
    page.click("text=New capture")
    page.check("#ask-kind-cpu")
    page.click("dialog button[type=submit]")
    page.wait_for_selector("main progress")
    return str(page.evaluate("location.hash.split('/').pop()"))


def finish(served: Crowd, name: str) -> None:
    """It is done, with a profile."""
    served.view.captures.finish(name, {"profile.speedscope.json": SPEEDSCOPE}, "application/json", engine="py-spy")


def _rows(page: Page, count: int) -> None:
    """As soon as the table has so many rows, of which as many as fit are elements."""
    page.wait_for_selector(f"table[aria-rowcount='{count + 1}']", state="attached")


def _words(text: str) -> str:
    """Without marks and white space, which a page sets as it likes."""
    return re.sub(r"\s+", " ", text.replace("`", "")).strip()
