"""The stream of the page: everything once, then what has changed, and no reading of any worker for it."""

import asyncio

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.captures import PROFILE
from support.views import AGENT, BLOCKING, LEGACY, OVER, SHOP, WATCHED, FixedView

from vitalsd.model import WorkerKey
from vitalsd_exporters.web.page.book import AT_A_TIME, RowBook
from vitalsd_exporters.web.page.stream import PageNews


class Unread(FixedView):
    """A view that may not be asked for what costs a reading."""

    def targets(self):
        """Reads every segment."""
        raise AssertionError("an open page has every worker read again")


class Page:
    """One open page, second by second."""

    def __init__(self, view=None, book=None):
        self.view = view or Unread()
        self.news = PageNews(self.view, book or RowBook(self.view))

    def second(self):
        """Event -> what it has told in this second."""
        told = asyncio.run(self.news.events()).split(b"\n\n")[:-1]
        parts = [each.split(b"\n") for each in told]
        assert all(len(lines) == 2 for lines in parts)
        events = {name.removeprefix(b"event: ").decode(): data.removeprefix(b"data: ") for name, data in parts}
        return {name: msgspec.json.decode(data)[name] for name, data in events.items()}


def test_first_comes_everything():
    """A page that has just been opened needs no other request."""
    page = Page()
    told = page.second()
    assert page.view.closer_looks == 1
    assert list(told) == ["agent", "targets", "workers", "incidents", "captures"]
    assert told["agent"].keys() == {"version", "started_at", "problems", "interval_seconds", "runbooks"}
    assert [each["name"] for each in told["targets"]] == ["shop", "legacy"]
    assert told["workers"]["all"] and told["workers"]["gone"] == []
    places = [(each["target"], each["worker"]) for each in told["workers"]["rows"]]
    assert places == [("shop", "0"), ("shop", "1"), ("legacy", "0"), ("legacy", "1")]
    assert told["workers"]["rows"][0]["open"] == {"critical": 1, "warning": 0, "info": 0}
    assert [each["id"] for each in told["incidents"]] == [BLOCKING.id, OVER.id]


def test_a_second_in_which_nothing_changes_tells_nothing():
    """500 workers that go on as they were cost a comment."""
    page = Page(Unread(all_targets=(replace(SHOP, workers=SHOP.workers[1:]),)))
    page.second()
    assert page.second() == {}
    page.view.all_targets = tuple(replace(each) for each in page.view.all_targets)  # another round, all as it was
    assert page.second() == {}


def test_only_rows_that_differ_are_told_again():
    """And who is gone, by name."""
    page = Page()
    page.second()
    bigger = replace(WATCHED, process=replace(WATCHED.process, resident_bytes=2**30))
    page.view.all_targets = (
        replace(SHOP, workers=(bigger, *SHOP.workers[1:])),
        replace(LEGACY, workers=LEGACY.workers[:1]),
    )
    told = page.second()
    assert told["workers"]["all"] is False
    assert [(each["target"], each["worker"], each["resident_bytes"]) for each in told["workers"]["rows"]] == [
        ("shop", "0", 2**30)
    ]
    assert told["workers"]["gone"] == ["legacy/1"]
    assert [each["workers"] for each in told["targets"]] == [2, 1]


def test_a_change_too_small_to_be_seen_is_none():
    """Memory always moves by a page or two."""
    page = Page()
    page.second()
    hardly = replace(
        WATCHED, process=replace(WATCHED.process, resident_bytes=WATCHED.process.resident_bytes + 4096)
    )
    page.view.all_targets = (replace(SHOP, workers=(hardly, *SHOP.workers[1:])), LEGACY)
    assert "workers" not in page.second()


def test_a_stall_is_of_this_second():
    """Between two rounds, without one: it begins, lasts, and is over; who is not there is not stuck."""
    view = Unread()
    stuck = {}
    view.stalled = lambda: dict(stuck)
    page = Page(view)
    first = {(each["target"], each["worker"]): each["state"] for each in page.second()["workers"]["rows"]}
    assert first["shop", "0"] == "up"
    stuck.update({("shop", "0"): 1.2345, ("shop", "1"): 3.0})
    [row] = page.second()["workers"]["rows"]
    assert (row["worker"], row["state"], row["stalled_seconds"]) == ("0", "stalled", 1.2)
    stuck["shop", "0"] = 2.24
    assert [each["stalled_seconds"] for each in page.second()["workers"]["rows"]] == [2.2]
    stuck.clear()
    [row] = page.second()["workers"]["rows"]
    assert (row["state"], row["stalled_seconds"]) == ("up", None)


def test_an_incident_changes_its_own_row():
    """The count of what is open is of now, whatever round it is."""
    page = Page()
    page.second()
    page.view.all_incidents = (replace(BLOCKING, state="resolved"), OVER)
    told = page.second()
    assert [(each["worker"], each["open"]["critical"]) for each in told["workers"]["rows"]] == [("0", 0)]
    assert [(each["id"], each["state"]) for each in told["incidents"]] == [(BLOCKING.id, "resolved")]


def test_a_capture_that_is_deleted_is_gone():
    """Somebody else, or the disk's quota, has deleted it: no list may go on to show it."""
    page = Page()
    page.view.captures.all = (PROFILE, replace(PROFILE, id="other"))
    assert len(page.second()["captures"]) == 2
    page.view.captures.all = (PROFILE,)
    assert page.second()["gone"] == ["other"]
    assert page.second() == {}


def test_an_incident_that_is_forgotten_is_gone():
    """Three hundred may end in one round, and a hundred are kept: the others are open in no list."""
    page = Page()
    page.view.captures.all = (PROFILE, replace(PROFILE, id="other"))
    page.second()
    page.view.all_incidents = (OVER,)
    page.view.captures.all = (PROFILE,)
    told = page.second()
    assert told["gone"] == [BLOCKING.id, "other"]
    assert "incidents" not in told
    page.view.all_incidents = (BLOCKING, OVER)
    assert [each["id"] for each in page.second()["incidents"]] == [BLOCKING.id]
    assert page.second() == {}


def test_what_is_wrong_with_the_agent_is_told_when_it_is():
    """Who looks at a page must know that nothing is stored."""
    page = Page()
    page.second()
    page.view.vitals = replace(AGENT, store_problem="the disk is full")
    assert page.second() == {
        "agent": {
            "version": "0.1.0",
            "started_at": page.news._agent["started_at"],
            "problems": ["Incidents and captures are not stored: the disk is full"],
            "interval_seconds": 1.0,
            "runbooks": None,
        }
    }


def test_many_pages_cost_the_rows_of_one():
    """In an incident everybody has it open."""
    view = Unread()
    asked = []
    view.memory_trend = lambda worker: asked.append(worker.key)
    book = RowBook(view)
    for page in [Page(view, book) for _ in range(5)]:
        assert len(page.second()["workers"]["rows"]) == 4
    assert len(asked) == 4


def test_others_have_their_turn_while_rows_are_made():
    """A fleet is not made in one go: health and scrapes wait for nobody's page."""
    workers = tuple(replace(WATCHED, slot=str(slot), key=WorkerKey(slot + 1, 1)) for slot in range(3 * AT_A_TIME))
    view = Unread(all_targets=(replace(SHOP, workers=workers),))

    async def count_turns():
        turns, ended = 0, asyncio.Event()

        async def others():
            nonlocal turns
            while not ended.is_set():
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(others())
        await asyncio.sleep(0)
        await RowBook(view).rows()
        ended.set()
        await beside
        return turns

    assert asyncio.run(count_turns()) >= 4


def test_one_sort_that_cannot_be_told_takes_no_other_with_it():
    """A bug in one place must not leave somebody on call without a page."""
    page = Page()
    page.view.agent = lambda: 1 / 0
    with capture_logs() as logs:
        raw = asyncio.run(page.news.events())
    assert b"event: workers" in raw and b"event: agent" not in raw
    assert [entry["event"] for entry in logs] == ["stream_reading_failed"]


@pytest.mark.parametrize("name", ["\u202egnp\x1b[2J", "a/b", "<img src=x>"])
def test_names_go_as_they_are(name):
    """What they look like is for who draws them: here they are JSON."""
    view = Unread(all_targets=(replace(SHOP, name=name, workers=(replace(WATCHED, target=name),)),))
    assert Page(view).second()["workers"]["rows"][0]["target"] == name
