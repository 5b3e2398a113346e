"""The memory of one worker through the API: what is asked of the disk is bounded, and said."""

import time

import pytest
from support.views import FixedView

from vitalsd.history.memory import MemorySpan
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token

BEARER = {"Authorization": "Bearer s3cret"}
MIB = 2**20
PATH = "/api/v1/targets/shop/history"


def span(hours_ago):
    """What was read so long ago."""
    at = time.time() - 3600 * hours_ago
    return MemorySpan(at, at - 60, 100 * MIB, 120 * MIB, None)


@pytest.fixture
def get(ask):
    """Ask for a path."""

    def request(path, **view):
        return ask(control_app(FixedView(**view), Token("s3cret"), "127.0.0.1"), "GET", path, headers=BEARER)

    return request


def test_the_last_day_or_as_much_as_is_asked_for(get):
    """Oldest first, with times as everywhere."""
    pasts = {("shop", "0"): (span(30), span(5), span(1))}
    told = get(f"{PATH}?worker=0", pasts=pasts).json()
    assert (told["target"], told["worker"], told["problem"]) == ("shop", "0", None)
    assert [each["memory_high_bytes"] for each in told["points"]] == [120 * MIB] * 2
    assert told["points"][0].keys() == {"at", "started_at", "memory_low_bytes", "memory_high_bytes", "limit_bytes"}
    assert told["points"][0]["at"].endswith("Z") and told["points"][0]["started_at"].endswith("Z")
    assert len(get(f"{PATH}?worker=0&hours=48", pasts=pasts).json()["points"]) == 3


def test_what_the_disk_does_not_tell_is_said(get):
    """The chart is drawn all the same."""
    assert get(f"{PATH}?worker=0", history_problem="The disk is slow.").json()["problem"] == "The disk is slow."


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("", "`worker`"),
        ("?worker=0&hours=0", "from 1 to 192"),
        ("?worker=0&hours=193", "193"),
        ("?worker=0&hour=1", "`hour`"),
    ],
)
def test_what_cannot_be_asked(get, query, what):
    """A sentence that names it."""
    answer = get(PATH + query)
    assert answer.status_code == 400
    assert what in answer.json()["error"]


def test_a_worker_that_nobody_knows(get):
    """404; one that is gone and has a past is known."""
    assert get(f"{PATH}?worker=7").status_code == 404
    assert get("/api/v1/targets/nobody/history?worker=0").status_code == 404
    assert get("/api/v1/targets/nobody/history?worker=0", pasts={("nobody", "0"): (span(1),)}).status_code == 200
    assert get(f"{PATH}?worker=0").status_code == 200
