"""The control port: closed without the token, and then the whole model."""

import asyncio

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.captures import PROFILE, FakeCaptures
from support.views import BLOCKING, OVER, SHOP, WATCHED, FixedView

from vitalsd.model import WorkerKey
from vitalsd_exporters.web import stream
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token
from vitalsd_exporters.web.guard import host_is_ours
from vitalsd_exporters.web.targets import MOST_ZOMBIES

BEARER = {"Authorization": "Bearer s3cret"}


def app(listen_host="127.0.0.1", **view):
    """The control port over a view with some fields changed."""
    return control_app(FixedView(**view), Token("s3cret"), listen_host)


@pytest.mark.parametrize("path", ["/api", "/api/v1/targets", "/api/v1/stream", "/api/v1/nothing", "/elsewhere"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic s3cret"},
        {"Cookie": "vitalsd_token=s3cret"},
    ],
)
def test_nothing_is_told_without_the_token(ask, path, headers):
    """Not even which paths exist; and the token itself is not the cookie."""
    response = ask(app(), "GET", path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "shop" not in response.text


def test_the_api_takes_no_token_from_the_address(ask):
    """Addresses end up in logs."""
    assert ask(app(), "GET", "/api/v1/targets?token=s3cret").status_code == 401


def test_the_landing_page_needs_the_token_too(ask):
    """Names of services are nobody else's business."""
    for path in ("/", "/?token=wrong"):
        response = ask(app(), "GET", path)
        assert response.status_code == 401
        assert "shop" not in response.text
        assert "set-cookie" not in response.headers


def open_link(ask, agent, host):
    """The cookie that the link of an agent, reached as `host`, leaves in a browser."""
    response = ask(agent, "GET", "/?token=s3cret", headers={"Host": host})
    assert response.status_code == 200
    return response.headers["set-cookie"]


def test_the_link_lets_a_browser_in(ask):
    """The cookie it leaves opens the API, cannot be read by a script, and does not hold the token."""
    agent = app()
    cookie = open_link(ask, agent, "127.0.0.1:18781")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "s3cret" not in cookie
    name_and_value = {"Cookie": cookie.partition(";")[0]}
    assert ask(agent, "GET", "/api/v1/targets", headers=name_and_value).status_code == 200


def test_a_cookie_opens_one_agent_and_no_other(ask):
    """Other services of the host get it too: it must not open a fleet with one token, nor this agent for ever."""
    name_and_value = {"Cookie": open_link(ask, app(), "127.0.0.1:18781").partition(";")[0]}
    assert ask(app(), "GET", "/api/v1/targets", headers=name_and_value).status_code == 401


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        (("127.0.0.1:18781", "127.0.0.1:18782"), ["vitalsd_token_18781", "vitalsd_token_18782"]),
        (("localhost", "[::1]"), ["vitalsd_token", "vitalsd_token"]),
    ],
)
def test_agents_behind_one_host_do_not_log_each_other_out(ask, hosts, names):
    """A browser has one cookie of a name for all ports of a host, so the port is in the name."""
    cookies = [open_link(ask, app(), host) for host in hosts]
    assert [cookie.partition("=")[0] for cookie in cookies] == names


def test_a_stream_is_of_a_view_that_there_is(ask):
    """A view that nobody knows is a sentence, and no stream of something else."""
    response = ask(app(), "GET", "/api/v1/stream?view=pages", headers=BEARER)
    assert response.status_code == 400
    assert "`pages`" in response.json()["error"]


def test_every_answer_carries_the_security_headers(ask):
    """Also a refusal, and also what is not found."""
    answers = [
        ask(app(), "GET", "/", headers=BEARER),
        ask(app(), "GET", "/api/v1/targets"),
        ask(app(), "GET", "/api/v1/targets/nobody", headers=BEARER),
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 404]
    for answer in answers:
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:18781", "", "10.0.0.1"])
def test_a_page_elsewhere_cannot_rebind_its_name_to_us(ask, host):
    """Even with the right token: it was not our name that was asked for."""
    assert ask(app(), "GET", "/api/v1/targets", headers={**BEARER, "Host": host}).status_code == 403


@pytest.mark.parametrize(
    ("header", "listen_host", "ours"),
    [
        ("localhost:18781", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("[::1]:18781", "::1", True),
        ("[::1]:18781", "127.0.0.1", True),
        ("Vitals.Internal:18781", "vitals.internal", True),
        ("10.0.0.5:18781", "10.0.0.5", True),
        ("10.0.0.5:18781", "0.0.0.0", True),
        ("10.0.0.5:18781", "", True),
        ("evil.example", "0.0.0.0", False),
        ("10.0.0.6:18781", "10.0.0.5", False),
        ("[", "127.0.0.1", False),
        ("localhost@evil.example", "127.0.0.1", False),
        ("evil.example@localhost", "127.0.0.1", False),
        ("127.0.0.1/?", "127.0.0.1", False),
    ],
)
def test_which_hosts_are_ours(header, listen_host, ours):
    """Loopback, the address that is listened on and, when that is every address, any that is no name."""
    assert host_is_ours(header, listen_host) is ours


def test_targets_are_the_whole_model_with_readable_times(ask):
    """Unix times are RFC 3339 in UTC with milliseconds, under names that end in `_at`."""
    response = ask(app(), "GET", "/api/v1/targets", headers=BEARER)
    assert response.headers["content-type"] == "application/json"
    [shop, legacy] = response.json()["targets"]
    worker = shop["workers"][0]
    assert worker["sampled_at"] == "2026-07-01T12:00:00.250Z"
    assert "at" not in worker
    assert worker["process"]["started_at"] == "2026-06-30T12:00:00.250Z"
    assert worker["probe"]["heartbeat_at"] == "2026-07-01T11:59:59.000Z"
    loop = worker["probe"]["loops"][0]
    assert loop["recent_stalls"][0]["ended_at"] == "2026-07-01T11:59:30.250Z"
    assert loop["current_stall"]["stacks"][0]["frames"][0] == {
        "function": "parse",
        "file": "/srv/shop/orders.py",
        "line": 41,
    }
    assert worker["key"] == {"pid": 4242, "start_ticks": 123_456}
    assert shop["restarts"] == {"0": {"error": 1}, "1": {"error": 2, "signal": 1}}
    assert legacy["workers"][0]["probe"] is None
    assert "open_fds" in legacy["workers"][0]["missing"]


def test_a_target_as_a_whole(ask):
    """Its supervisor, its zombies since when, and what its workers have of memory together."""
    [shop, legacy] = ask(app(), "GET", "/api/v1/targets", headers=BEARER).json()["targets"]
    assert (shop["supervisor"]["kind"], shop["supervisor"]["key"]["pid"]) == ("gunicorn", 4711)
    assert shop["zombies"][0]["seen_at"] == "2026-07-01T11:59:00.250Z"
    assert shop["memory"] == {
        "proportional_bytes": 113_246_208,
        "unique_bytes": 98_566_144,
        "workers_known": 1,
        "missing": {},
    }
    assert (legacy["supervisor"], legacy["zombies"], legacy["zombie_count"]) == (None, [], 0)


def test_many_zombies_are_counted_and_some_told(ask):
    """A service that fetches none of its children is no reason for a document without an end."""
    (zombie,) = SHOP.zombies
    zombies = tuple(replace(zombie, key=WorkerKey(pid, pid)) for pid in range(5000))
    response = ask(app(all_targets=(replace(SHOP, zombies=zombies),)), "GET", "/api/v1/targets", headers=BEARER)
    (shop,) = response.json()["targets"]
    assert (len(shop["zombies"]), shop["zombie_count"]) == (MOST_ZOMBIES, 5000)


def test_a_time_that_no_calendar_holds_is_unknown(ask):
    """A damaged segment may say anything; the API answers all the same."""
    worker = replace(WATCHED, at=1e300)
    view = {"all_targets": (replace(SHOP, workers=(worker,)),)}
    response = ask(app(**view), "GET", "/api/v1/targets", headers=BEARER)
    assert response.json()["targets"][0]["workers"][0]["sampled_at"] is None


def test_one_target_is_found_by_name(ask):
    """The same object as in the list; an unknown name is a sentence."""
    listed = ask(app(), "GET", "/api/v1/targets", headers=BEARER).json()["targets"]
    assert ask(app(), "GET", "/api/v1/targets/legacy", headers=BEARER).json() == listed[1]
    missing = ask(app(), "GET", "/api/v1/targets/nobody", headers=BEARER)
    assert missing.status_code == 404
    assert "`nobody`" in missing.json()["error"]


def test_sources_tell_how_reading_went(ask):
    """With the problem, where there is one."""
    sources = ask(app(), "GET", "/api/v1/sources", headers=BEARER).json()["sources"]
    assert [(source["target"], source["source"], source["success"]) for source in sources] == [
        ("shop", "process", True),
        ("shop", "segment", True),
        ("legacy", "process", False),
    ]
    assert sources[2]["problem"] == "/proc/77/fd may not be read"


def listen(application, events):
    """Open the stream, leave after that many events, and return what was sent until the app ended."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "GET",
        "path": "/api/v1/stream",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer s3cret")],
    }
    sent = []

    async def visit():
        left = asyncio.Event()

        async def receive():
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)
            if b"".join(message.get("body", b"") for message in sent).count(b"\n\n") > events:
                left.set()

        await asyncio.wait_for(application(scope, receive, send), timeout=60)

    asyncio.run(visit())
    return sent


def test_a_stream_sends_the_targets_until_its_client_leaves(monkeypatch):
    """A heartbeat opens it, then come events, and nothing is left running."""
    monkeypatch.setattr(stream, "INTERVAL_SECONDS", 0)
    start, *bodies = listen(app(), events=5)
    assert (b"content-type", b"text/event-stream; charset=utf-8") in start["headers"]
    [heartbeat, *events] = b"".join(body.get("body", b"") for body in bodies).split(b"\n\n")[:5]
    assert heartbeat.startswith(b":")
    told = [event.split(b"\n") for event in events]
    names = [name.removeprefix(b"event: ") for name, _ in told]
    assert names == [b"targets", b"incidents", b"captures", b"targets"]
    for _, data in (told[0], told[3]):
        assert msgspec.json.decode(data.removeprefix(b"data: "))["targets"][0]["name"] == "shop"


def test_a_stream_sends_incidents_when_they_change(monkeypatch):
    """At first all there are, then only those that are new or have changed, as the list has them."""
    monkeypatch.setattr(stream, "INTERVAL_SECONDS", 0)

    class Changing(FixedView):
        looks = 0

        def incidents(self):
            self.looks += 1
            if self.looks == 3:
                self.all_incidents = (replace(BLOCKING, id="new"), BLOCKING, replace(OVER, count=2))
            return self.all_incidents

    _, *bodies = listen(control_app(Changing(), Token("s3cret"), "127.0.0.1"), events=7)
    events = b"".join(body.get("body", b"") for body in bodies).split(b"\n\n")
    told = [event.partition(b"data: ")[2] for event in events if event.startswith(b"event: incidents")]
    ids = [[each["id"] for each in msgspec.json.decode(data)["incidents"]] for data in told]
    assert ids == [[BLOCKING.id, OVER.id], ["new", OVER.id]]
    assert msgspec.json.decode(told[0])["incidents"][0]["opened_at"] == "2026-07-01T11:58:00.250Z"


def test_a_stream_sends_captures_when_they_change_or_come_further(monkeypatch):
    """At first all there are, then those that are new or changed, or run and have more of it done."""
    monkeypatch.setattr(stream, "INTERVAL_SECONDS", 0)
    runs = replace(PROFILE, id="runs", state="running")
    rounds = iter([(0.1, (runs, PROFILE)), (0.1, (runs, PROFILE)), (0.5, (runs, PROFILE))])
    last = (0.5, (replace(runs, state="done"), PROFILE))

    class Changing(FixedView):
        def targets(self):
            share, now = next(rounds, last)
            if now != self.captures.all:
                self.captures.all = now
            self.captures.shares = {"runs": share}
            return ()

    _, *bodies = listen(control_app(Changing(), Token("s3cret"), "127.0.0.1"), events=9)
    events = b"".join(body.get("body", b"") for body in bodies).split(b"\n\n")
    told = [event.partition(b"data: ")[2] for event in events if event.startswith(b"event: captures")]
    shown = [
        [(each["id"], each["state"], each["progress"]) for each in msgspec.json.decode(data)["captures"]]
        for data in told
    ]
    assert shown == [
        [("runs", "running", 0.1), (PROFILE.id, "done", None)],
        [("runs", "running", 0.5)],
        [("runs", "done", None)],
    ]


def test_a_stream_tells_who_is_gone(monkeypatch):
    """An incident that the agent has forgotten and a capture that was deleted, once each."""
    monkeypatch.setattr(stream, "INTERVAL_SECONDS", 0)

    class Changing(FixedView):
        looks = 0

        def incidents(self):
            self.looks += 1
            if self.looks == 3:
                self.all_incidents = (OVER,)
                self.captures.all = ()
            return self.all_incidents

    _, *bodies = listen(control_app(Changing(), Token("s3cret"), "127.0.0.1"), events=9)
    events = b"".join(body.get("body", b"") for body in bodies).split(b"\n\n")
    assert [event for event in events if event.startswith(b"event: gone")] == [
        b"event: gone\ndata: "
        + msgspec.json.encode({"gone": [BLOCKING.id, *sorted(each.id for each in FakeCaptures().all)]})
    ]


def test_a_stream_outlives_a_reading_that_fails(monkeypatch):
    """The client gets a heartbeat instead of an event, and the log says why."""
    monkeypatch.setattr(stream, "INTERVAL_SECONDS", 0)

    class Failing(FixedView):
        def targets(self):
            raise RuntimeError("no answer")

        incidents = targets

    class NoCaptures(FakeCaptures):
        latest = Failing.targets

    with capture_logs() as logs:
        _, *bodies = listen(control_app(Failing(captures=NoCaptures()), Token("s3cret"), "127.0.0.1"), events=2)
    assert b"event:" not in b"".join(body.get("body", b"") for body in bodies)
    assert {entry["event"] for entry in logs} == {"stream_reading_failed"}


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/api/v1/nothing", 404), ("POST", "/api/v1/rules", 405)]
)
def test_what_is_not_there_is_an_error_like_any_other(ask, method, path, status):
    """A program that reads answers need not know who has made them."""
    response = ask(app(), method, path, headers=BEARER)
    assert response.status_code == status
    assert path in response.json()["error"]
    assert ("GET" in response.headers.get("allow", "")) == (status == 405)
