"""Captures through the API: what is taken, what is refused and with which words, and who may ask at all."""

import asyncio
import json

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.captures import PROFILE, REFUSED, FakeCaptures
from support.views import FixedView

from vitalsd.capture.model import Refusal
from vitalsd_exporters.web import bodies
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token

BEARER = {"Authorization": "Bearer s3cret"}
RUNNING = replace(PROFILE, id="runs", state="running", ended_at=None, artifacts=(), summary={})


@pytest.fixture
def captures():
    """What the agent has captured."""
    return FakeCaptures()


@pytest.fixture
def call(ask, captures):
    """Ask the agent for a path."""

    def request(method, path, **options):
        app = control_app(FixedView(captures=captures), Token("s3cret"), "127.0.0.1")
        return ask(app, method, f"/api/v1{path}", headers={**BEARER, **options.pop("headers", {})}, **options)

    return request


def test_a_capture_is_told_whole(call):
    """Every field of the model, times as people read them, its files with their sums, and its progress."""
    [told, refused] = call("GET", "/captures").json()["captures"]
    assert told["asked_at"] == "2026-07-01T11:59:00.250Z"
    assert told["artifacts"][0] == {
        "name": "flamegraph.svg",
        "size_bytes": 11,
        "sha256": PROFILE.artifacts[0].sha256,
        "media_type": "image/svg+xml",
    }
    assert told["summary"]["top_functions"][0]["function"] == "parse"
    assert (told["progress"], told["refusal"], told["pinned"]) == (None, None, False)
    assert (refused["state"], refused["refusal"], refused["started_at"]) == ("refused", "cooldown", None)
    assert call("GET", f"/captures/{PROFILE.id}").json() == told


def test_progress_is_told_of_what_runs(call, captures):
    """And of nothing else."""
    captures.all = (RUNNING, PROFILE)
    captures.shares["runs"] = 0.25
    assert call("GET", "/captures/runs").json()["progress"] == 0.25
    assert call("GET", "/captures/runs").json()["waits_for"] is None
    assert [each["progress"] for each in call("GET", "/captures").json()["captures"]] == [0.25, None]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [PROFILE.id, REFUSED.id]),
        ("?state=done", [PROFILE.id]),
        ("?state=refused&kind=memory", [REFUSED.id]),
        ("?kind=heap", []),
        ("?target=legacy", [REFUSED.id]),
        ("?incident=1n4a0a0q7zk", [PROFILE.id]),
        ("?limit=1", [PROFILE.id]),
    ],
)
def test_a_list_is_filtered(call, query, expected):
    """Every filter narrows; the latest come first."""
    assert [each["id"] for each in call("GET", f"/captures{query}").json()["captures"]] == expected


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("?state=over", "`over`"),
        ("?kind=cpus", "`cpu`"),
        ("?limit=0", "`limit`"),
        ("?limit=%D9%A3", "`limit`"),
        ("?worker=0", "no filter `worker`"),
    ],
)
def test_a_filter_that_makes_no_sense_is_a_sentence(call, query, word):
    """As with incidents."""
    answer = call("GET", f"/captures{query}")
    assert answer.status_code == 400
    assert word in answer.json()["error"]


def test_asking_answers_at_once_with_the_place(call, captures):
    """202, and where it will be; what was asked for reaches the desk as it was meant."""
    body = {"kind": "cpu", "target": "shop", "worker": "1", "seconds": 5, "reason": "it is\nslow \x1b[31m"}
    answer = call("POST", "/captures", json=body)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/captures/{answer.json()['id']}"
    assert answer.json()["state"] == "waiting"
    assert captures.asked == [
        {
            "kind": "cpu",
            "target": "shop",
            "worker": "1",
            "seconds": 5.0,
            "force": False,
            "reason": "it is slow [31m",
            "asked_by": "person",
            "who": "127.0.0.1",
        }
    ]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"target": "shop"}, ("shop", "0")),
        ({"pid": 4242}, ("shop", "0")),
        ({"pid": 78}, ("legacy", "1")),
        ({"pid": 78, "target": "legacy"}, ("legacy", "1")),
    ],
)
def test_a_worker_is_named_or_found_by_its_pid(call, captures, body, place):
    """Neither is needed: then it is the first that is up."""
    assert call("POST", "/captures", json={"kind": "stacks", **body}).status_code == 202
    assert (captures.asked[0]["target"], captures.asked[0]["worker"]) == place


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"target": "nobody"}, "`nobody`"),
        ({"target": "shop", "worker": "7"}, "`7`"),
        ({"pid": 99}, "pid 99"),
        ({"pid": 4243}, "pid 4243"),
        ({"pid": 4242, "target": "legacy"}, "of `legacy`"),
    ],
    ids=["target", "worker", "pid", "gone", "elsewhere"],
)
def test_what_is_not_there_is_404(call, captures, body, word):
    """With its name; a worker whose process is gone has no pid any more."""
    answer = call("POST", "/captures", json={"kind": "stacks", **body})
    assert answer.status_code == 404
    assert word in answer.json()["error"]
    assert captures.asked == []


GARBAGE = [
    (b"", "empty"),
    (b"  ", "empty"),
    (b"not json", "no JSON"),
    (b'{"kind": "cpu", "target": "shop"', "no JSON"),
    (b'{"kind": "cpu", "target": "\xff"}', "no JSON"),
    (b"\x00" * 100, "no JSON"),
    (b"[]", "array"),
    (b"null", "null"),
    (b"[" * 50_000, "body"),
    (b'{"kind": ' + b"[" * 50_000, "`kind`"),
    (b"{}", "`kind`"),
    (b'{"kind": "cpu"}', "`target`"),
    (b'{"kind": "disk", "target": "shop"}', "`kind`"),
    (b'{"kind": ["cpu"], "target": "shop"}', "`kind`"),
    (b'{"kind": "cpu", "target": 7}', "`target`"),
    (b'{"kind": "cpu", "target": ""}', "`target`"),
    (b'{"kind": "cpu", "pid": "12"}', "`pid`"),
    (b'{"kind": "cpu", "pid": 0}', "`pid`"),
    (b'{"kind": "cpu", "pid": 1e400}', "`pid`"),
    (b'{"kind": "cpu", "pid": 1, "worker": "0"}', "`worker` and `pid`"),
    (b'{"kind": "cpu", "target": "shop", "seconds": "5"}', "`seconds`"),
    (b'{"kind": "cpu", "target": "shop", "seconds": 0}', "`seconds`"),
    (b'{"kind": "cpu", "target": "shop", "seconds": 3601}', "`seconds`"),
    (b'{"kind": "cpu", "target": "shop", "seconds": NaN}', "no JSON"),
    (b'{"kind": "cpu", "target": "shop", "seconds": true}', "`seconds`"),
    (b'{"kind": "cpu", "target": "shop", "force": 1}', "`force`"),
    (b'{"kind": "cpu", "target": "shop", "reason": null}', "`reason`"),
    (b'{"kind": "cpu", "target": "shop", "why": "so"}', "`why`"),
    (json.dumps({"kind": "cpu", "target": "shop", "reason": "x" * 501}).encode(), "`reason`"),
]


@pytest.mark.parametrize(("body", "word"), GARBAGE, ids=range(len(GARBAGE)))
def test_a_body_that_is_garbage_is_a_sentence_that_names_the_field(call, captures, body, word):
    """400 for each; nothing is asked for, and the sentence is short whatever was sent."""
    answer = call("POST", "/captures", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert word in answer.json()["error"]
    assert len(answer.json()["error"]) < 500
    assert captures.asked == []


def test_a_body_that_is_too_large_is_not_read_further(call):
    """By its declared length none of it, else no more than the bound and a chunk; and the connection ends."""
    read = []

    async def endless():
        while True:
            read.append(1)
            yield b"x" * 16_384

    headers = {"Content-Type": "application/json"}
    answer = call("POST", "/captures", content=endless(), headers=headers)
    assert (answer.status_code, answer.headers["connection"]) == (400, "close")
    assert "65536" in answer.json()["error"]
    assert len(read) <= 6
    declared = {**headers, "Content-Length": "9" * 30}
    assert call("POST", "/captures", content=b"{}", headers=declared).status_code == 400


def test_a_body_that_never_comes_is_not_waited_for(call, monkeypatch):
    """408: a client that says nothing takes one of few places."""
    monkeypatch.setattr(bodies, "PATIENCE_SECONDS", 0.01)

    async def never():
        yield b"{"
        await asyncio.sleep(3600)

    headers = {"Content-Type": "application/json"}
    assert call("POST", "/captures", content=never(), headers=headers).status_code == 408


@pytest.mark.parametrize("sort", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_a_body_is_json_and_says_so(call, captures, sort):
    """What a form of another page can send is not taken for it."""
    headers = {"Content-Type": sort} if sort else {}
    asked, pinned = b'{"kind": "cpu", "target": "shop"}', b'{"pinned": true}'
    assert call("POST", "/captures", content=asked, headers=headers).status_code == 415
    assert call("PATCH", f"/captures/{PROFILE.id}", content=pinned, headers=headers).status_code == 415
    assert captures.asked == []


@pytest.mark.parametrize(
    ("word", "seconds", "status", "after"),
    [
        ("cooldown", 419.2, 429, "420"),
        ("budget", 0.0, 429, "1"),
        ("queue", None, 429, None),
        ("overload", None, 429, None),
        ("host", None, 429, None),
        ("stalling", 5.0, 409, None),
        ("headroom", None, 409, None),
        ("engine", None, 409, None),
        ("disk", None, 409, None),
    ],
)
def test_a_refusal_has_its_reason_and_when_to_come_again(call, captures, word, seconds, status, after):
    """429 for what passes with time, 409 for what the service is in; the capture is kept as refused."""
    captures.refusal = Refusal(word, "not now", seconds)
    answer = call("POST", "/captures", json={"kind": "cpu", "target": "shop"})
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == after
    again = {
        "cooldown": ": ask again in 7m, or now with `force`",
        "budget": ": ask again in 1s, or now with `force`",
        "stalling": ": ask again in 5s",
    }.get(word, "")
    told = answer.json()
    assert (told["error"], told["refusal"], told["capture"]["state"]) == (f"Not now{again}.", word, "refused")
    assert call("GET", f"/captures/{told['capture']['id']}").json() == told["capture"]


def test_one_that_runs_is_stopped_or_cancelled(call, captures):
    """Stopping keeps what it has, to cancel does not; both answer at once."""
    captures.all = (RUNNING, replace(RUNNING, id="runs2"), replace(RUNNING, id="runs3"))
    stopped = call("POST", "/captures/runs/stop")
    assert (stopped.status_code, stopped.json()["state"]) == (202, "stopping")
    for method, path in (("POST", "/captures/runs2/cancel"), ("DELETE", "/captures/runs3")):
        cancelled = call(method, path)
        assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
        assert cancelled.headers["location"] == f"/api/v1{path.removesuffix('/cancel')}"


def test_who_cancels_deletes_nothing(call, captures):
    """One that has ended meanwhile is evidence that nobody asked to delete: it stays, and that is told."""
    answer = call("POST", f"/captures/{PROFILE.id}/cancel")
    assert answer.status_code == 409
    assert answer.json()["error"] == f"Capture `{PROFILE.id}` has ended already: it is done."
    assert PROFILE in captures.all


def test_what_cannot_be_stopped_says_why(call, captures):
    """One that waits has nothing to keep, and one that has ended goes on for nobody."""
    captures.all = (replace(RUNNING, state="waiting"), PROFILE)
    assert call("POST", "/captures/runs/stop").json()["state"] == "cancelled"
    answer = call("POST", f"/captures/{PROFILE.id}/stop")
    assert answer.status_code == 409
    assert "done" in answer.json()["error"]


def test_one_that_has_ended_is_deleted(call, captures):
    """204, and then it is not there."""
    assert call("DELETE", f"/captures/{PROFILE.id}").status_code == 204
    assert call("GET", f"/captures/{PROFILE.id}").status_code == 404
    assert captures.files.get(PROFILE.id) is None


def test_one_is_pinned_and_unpinned(call):
    """The answer is the capture as it is then."""
    for pinned in (True, False):
        assert call("PATCH", f"/captures/{PROFILE.id}", json={"pinned": pinned}).json()["pinned"] is pinned
    for body in ({}, {"pinned": "yes"}, {"pinned": True, "state": "done"}):
        assert call("PATCH", f"/captures/{PROFILE.id}", json=body).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/captures/nobody"),
        ("DELETE", "/captures/nobody"),
        ("POST", "/captures/nobody/stop"),
        ("POST", "/captures/nobody/cancel"),
        ("PATCH", "/captures/nobody"),
        ("GET", "/captures/nobody/files/x"),
    ],
)
def test_an_id_that_nobody_gave_is_404(call, method, path):
    """With the id in the sentence."""
    answer = call(method, path, **({"json": {"pinned": True}} if method == "PATCH" else {}))
    assert answer.status_code == 404
    assert "`nobody`" in answer.json()["error"]


CHANGES = [
    ("POST", "/captures"),
    ("POST", f"/captures/{PROFILE.id}/stop"),
    ("POST", f"/captures/{PROFILE.id}/cancel"),
    ("DELETE", f"/captures/{PROFILE.id}"),
    ("PATCH", f"/captures/{PROFILE.id}"),
    ("POST", "/alertmanager"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_nothing_is_changed_without_the_token_in_the_header(ask, captures, method, path):
    """No token, a wrong one, and the cookie, which a page on another port of this host could have sent: 401."""
    app = control_app(FixedView(captures=captures), Token("s3cret"), "127.0.0.1")
    cookie = ask(app, "GET", "/?token=s3cret").headers["set-cookie"].partition(";")[0]
    assert ask(app, "GET", "/api/v1/captures", headers={"Cookie": cookie}).status_code == 200
    before = captures.all
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": cookie}):
        body = {"kind": "cpu", "target": "shop", "pinned": True}
        answer = ask(app, method, f"/api/v1{path}", headers=headers, json=body)
        assert answer.status_code == 401
        assert "Authorization" in answer.json()["error"]
    assert (captures.all, captures.asked) == (before, [])


def test_who_asked_for_what_is_written_down(call, captures):
    """One line for each request that changes something, refused ones too; what a client says of itself is cut."""
    captures.all = (RUNNING, *captures.all)
    agent = {"User-Agent": "curl/8 \x1b[31m" + "x" * 1000}
    with capture_logs() as logs:
        call("POST", "/captures", json={"kind": "cpu", "target": "shop"}, headers=agent)
        captures.refusal = Refusal("budget", "Enough.")
        call("POST", "/captures", json={"kind": "cpu", "target": "shop"})
        call("POST", "/captures", json={"kind": "cpu", "target": "nobody"})
        call("POST", "/captures", content=b"x", headers={"Content-Type": "application/json"})
        call("POST", "/captures/runs/stop")
        call("POST", "/captures/runs/cancel")
        call("POST", "/captures/runs/cancel")
        call("DELETE", f"/captures/{PROFILE.id}")
        call("PATCH", f"/captures/{REFUSED.id}", json={"pinned": True})
        call("DELETE", "/captures/nobody")
        call("GET", "/captures")
    assert [(line["event"], line["outcome"]) for line in logs] == [
        ("capture_asked", "waiting"),
        ("capture_asked", "refused"),
        ("capture_asked", "unknown"),
        ("capture_asked", "malformed"),
        ("capture_stopped", "stopping"),
        ("capture_cancelled", "cancelled"),
        ("capture_cancelled", "ended"),
        ("capture_deleted", "deleted"),
        ("capture_pinned", "pinned"),
        ("capture_deleted", "unknown"),
    ]
    first = logs[0]
    assert (first["client"], first["route"], first["target"]) == ("127.0.0.1", "POST /api/v1/captures", "shop")
    assert first["agent"].startswith("curl/8 [31mxx") and len(first["agent"]) <= 120
    assert first["capture"] == "new1"
    assert logs[1]["refusal"] == "budget"
    assert logs[7]["capture"] == PROFILE.id


def test_a_path_says_which_methods_it_takes(call):
    """All of them, though each has a route of its own."""
    answer = call("PUT", "/captures")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert call("PUT", f"/captures/{PROFILE.id}").headers["allow"] == "DELETE, GET, HEAD, PATCH"
