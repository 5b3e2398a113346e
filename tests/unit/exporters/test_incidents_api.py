"""Incidents and rules through the API: the contract's fields, filters, and sentences for what is asked wrongly."""

import json

import pytest
from msgspec.structs import replace
from support.views import BLOCKING, OVER, FixedView

from vitalsd.model import Frame
from vitalsd_exporters.web import incidents
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token

BEARER = {"Authorization": "Bearer s3cret"}


@pytest.fixture
def get(ask):
    """Ask a view for a path."""

    def request(path, view=None):
        return ask(control_app(view or FixedView(), Token("s3cret"), "127.0.0.1"), "GET", path, headers=BEARER)

    return request


def ids(response):
    """Of the incidents that were listed."""
    return [incident["id"] for incident in response.json()["incidents"]]


def test_an_incident_is_told_as_the_contract_has_it(get):
    """All of DESIGN 5.1, in its order, with times in RFC 3339 wherever they are, and then what we add."""
    [told, _] = get("/api/v1/incidents").json()["incidents"]
    assert told == {
        "id": "1n4a0a0q7zk",
        "kind": "stall",
        "target": "shop",
        "worker": "0",
        "severity": "critical",
        "state": "open",
        "opened_at": "2026-07-01T11:58:00.250Z",
        "resolved_at": None,
        "cause": "blocking_cpu",
        "culprit": {"function": "parse", "file": "/srv/shop/orders.py", "line": 41},
        "summary": BLOCKING.summary,
        "evidence": {
            "reason": "the thread was running in 9 of 10 looks",
            "count": 14,
            "stalls": [
                {"started_at": "2026-07-01T11:59:58.250Z", "duration_seconds": 1.2, "cause": "blocking_cpu"}
            ],
            "stacks": [
                {"samples": 3, "frames": [{"function": "parse", "file": "/srv/shop/orders.py", "line": 41}]}
            ],
        },
        "captures": [],
        "updated_at": "2026-07-01T11:59:59.450Z",
        "count": 14,
        "timeline": [
            {
                "at": "2026-07-01T11:58:00.250Z",
                "event": "opened",
                "text": "critical: `parse` in orders.py blocked worker 0 of `shop`.",
            },
            {
                "at": "2026-07-01T11:59:59.450Z",
                "event": "evidence",
                "text": "found 13 more times, the latest of 1.20 s",
            },
        ],
        "fault": "",
        "advice": "",
    }
    assert list(told)[:14] == [
        *("id", "kind", "target", "worker", "severity", "state", "opened_at", "resolved_at"),
        *("cause", "culprit", "summary", "evidence", "captures", "updated_at"),
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [BLOCKING.id, OVER.id]),
        ("?state=open", [BLOCKING.id]),
        ("?state=resolved", [OVER.id]),
        ("?target=legacy", [OVER.id]),
        ("?target=legacy&state=open", []),
        ("?kind=stall", [BLOCKING.id, OVER.id]),
        ("?kind=leak", []),
        ("?limit=1", [BLOCKING.id]),
    ],
)
def test_a_list_is_filtered(get, query, expected):
    """Every filter narrows, all of them together; the latest come first."""
    assert ids(get(f"/api/v1/incidents{query}")) == expected


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("?state=closed", "`closed`"),
        ("?limit=0", "`limit`"),
        ("?limit=-1", "`limit`"),
        ("?limit=many", "`many`"),
        ("?limit=1001", "from 1 to 1000"),
        ("?limit=%D9%A3", "`limit`"),
        ("?limit=99999999999999999999", "`limit`"),
        ("?sate=open", "no filter `sate`"),
    ],
)
def test_a_filter_that_makes_no_sense_is_a_sentence(get, query, word):
    """And not the whole list: who mistypes a filter must not think that nothing is open."""
    response = get(f"/api/v1/incidents{query}")
    assert response.status_code == 400
    assert word in response.json()["error"]


MANY = tuple(
    replace(BLOCKING, id=f"one{number:03}", opened_at=BLOCKING.opened_at - number // 2) for number in range(120)
)


def test_a_list_in_brief_has_no_evidence(get):
    """What a list shows, and what a thousand may be asked for with."""
    told = get("/api/v1/incidents?view=brief").json()["incidents"]
    whole = get("/api/v1/incidents").json()["incidents"]
    left_out = {"evidence", "timeline", "advice"}
    assert told == [{name: value for name, value in each.items() if name not in left_out} for each in whole]
    assert "`view`" in get("/api/v1/incidents?view=page").json()["error"]


@pytest.mark.parametrize("limit", [1, 7, 50, 51, 119])
def test_a_list_is_gone_on_with(get, limit):
    """Every one is told once, and the last answer has no `next`."""
    view, found, more = FixedView(all_incidents=MANY[:70], stored_incidents=MANY[70:]), [], ""
    while True:
        answer = get(f"/api/v1/incidents?limit={limit}{more}", view).json()
        found += [each["id"] for each in answer["incidents"]]
        if "next" not in answer:
            break
        assert len(answer["incidents"]) == limit
        more = f"&before={answer['next']}"
    assert sorted(found) == sorted(each.id for each in MANY)
    assert "`before`" in get("/api/v1/incidents?before=then").json()["error"]


def test_an_answer_has_an_end(get, monkeypatch):
    """Evidence may be long: what is too much for one answer is for the next."""
    monkeypatch.setattr(incidents, "MOST_BYTES", 10_000)
    view, found, more = FixedView(all_incidents=MANY), [], ""
    while True:
        response = get(f"/api/v1/incidents?limit=1000{more}", view)
        assert len(response.content) < 10_500
        found += ids(response)
        if "next" not in response.json():
            break
        more = f"&before={response.json()['next']}"
    assert sorted(found) == sorted(each.id for each in MANY)


def test_no_more_than_a_page_is_asked_of_the_disk(get, monkeypatch):
    """So a thousand are never in memory together."""
    view = FixedView(all_incidents=MANY)
    asked, find = [], view.find_incidents
    monkeypatch.setattr(view, "find_incidents", lambda wanted: asked.append(wanted.limit) or find(wanted))
    assert len(ids(get("/api/v1/incidents?limit=1000", view))) == len(MANY)
    assert asked == [50, 50, 50]


def test_one_incident_is_found_by_its_id(get):
    """The same object as in the list; an unknown id is a sentence."""
    assert get(f"/api/v1/incidents/{OVER.id}").json() == get("/api/v1/incidents").json()["incidents"][1]
    missing = get("/api/v1/incidents/nobody")
    assert missing.status_code == 404
    assert "`nobody`" in missing.json()["error"]


def test_a_disk_that_does_not_tell_is_told(get):
    """The list is what memory holds, and says that it is not all; a missing id may be for that reason."""
    view = FixedView(history_problem="Older incidents are missing: disk I/O error.")
    answer = get("/api/v1/incidents", view).json()
    assert (len(answer["incidents"]), answer["problem"]) == (2, view.history_problem)
    assert view.history_problem in get("/api/v1/incidents/nobody", view).json()["error"]
    assert list(get("/api/v1/incidents").json()) == ["incidents"]


def test_hostile_names_are_data(get):
    """Markup stays text in JSON, and an answer is never taken for a page."""
    hostile = replace(BLOCKING, culprit=Frame("</script><b>", '/srv/"; rm -rf', 1), summary="<img src=x>")
    response = get("/api/v1/incidents", FixedView(all_incidents=(hostile,)))
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert json.loads(response.text)["incidents"][0]["culprit"]["function"] == "</script><b>"


def test_rules_say_why(get):
    """Each rule for each worker with its state and its reason; one target's alone when asked."""
    rules = get("/api/v1/rules").json()["rules"]
    assert rules[1] == {
        "rule": "starvation",
        "target": "shop",
        "worker": "0",
        "state": "quiet",
        "reason": "p99 delay 4 ms over 10 s",
    }
    assert [rule["target"] for rule in get("/api/v1/rules?target=legacy").json()["rules"]] == ["legacy"]
