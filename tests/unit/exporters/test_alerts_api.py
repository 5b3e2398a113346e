"""Alertmanager's webhook: what an alert may ask for, and that a storm of them gets what the policy leaves."""

import pytest
from structlog.testing import capture_logs
from support.captures import FakeCaptures
from support.views import FixedView

from vitalsd.capture.model import Refusal
from vitalsd_exporters.web import alerts
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token

BEARER = {"Authorization": "Bearer s3cret"}


def alert(status="firing", annotations=None, fingerprint="c0ffee0123456789", **labels):
    """One, as Alertmanager sends it."""
    return {
        "status": status,
        "labels": {"alertname": "HighDelay", "severity": "critical", **labels},
        "annotations": annotations or {},
        "startsAt": "2026-07-01T12:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": fingerprint,
    }


@pytest.fixture
def captures():
    """What the agent has captured."""
    return FakeCaptures()


@pytest.fixture
def tell(ask, captures):
    """Send the agent a message with these alerts."""

    def request(*told, **message):
        app = control_app(FixedView(captures=captures), Token("s3cret"), "127.0.0.1")
        body = {"version": "4", "groupKey": "{}", "status": "firing", "alerts": told, **message}
        return ask(app, "POST", "/api/v1/alertmanager", headers=BEARER, json=body)

    return request


def test_an_alert_that_fires_asks_for_a_capture(tell, captures):
    """By the annotation or the label, of its target and worker, in its name."""
    answer = tell(
        alert(annotations={"vitalsd_capture": "cpu"}, target="shop", worker="1"),
        alert(fingerprint="2", vitalsd_capture="stacks", target="legacy"),
    )
    assert answer.status_code == 200
    told = answer.json()
    assert [(each["kind"], each["target"], each["worker"], each["state"]) for each in told["asked"]] == [
        ("cpu", "shop", "1", "waiting"),
        ("stacks", "legacy", "0", "waiting"),
    ]
    assert (told["refused"], told["ignored"]) == ([], 0)
    assert captures.asked[0] == {
        "kind": "cpu",
        "target": "shop",
        "worker": "1",
        "seconds": None,
        "force": False,
        "reason": "the alert `HighDelay` is firing",
        "asked_by": "alert",
        "who": "c0ffee0123456789",
    }


def test_what_is_resolved_or_asks_for_nothing_is_ignored(tell, captures):
    """And counted."""
    answer = tell(alert("resolved", vitalsd_capture="cpu", target="shop"), alert(target="shop"), status="resolved")
    assert answer.json() == {"asked": [], "refused": [], "ignored": 2}
    assert captures.asked == []


def test_the_policy_holds_for_alerts(tell, captures):
    """What it refuses is told with its word, and with the id under which that is kept."""
    captures.refusal = Refusal("budget", "6 captures in this hour, and no more: `capture.per_hour`.")
    [told] = tell(alert(vitalsd_capture="cpu", target="shop")).json()["refused"]
    assert told == {
        "alert": "HighDelay",
        "fingerprint": "c0ffee0123456789",
        "problem": captures.refusal.sentence,
        "refusal": "budget",
        "capture": "new1",
    }


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        ({"vitalsd_capture": "everything", "target": "shop"}, "`everything`"),
        ({"vitalsd_capture": "cpu"}, "`target`"),
        ({"vitalsd_capture": "cpu", "target": "nobody"}, "`nobody`"),
        ({"vitalsd_capture": "cpu", "target": "shop", "worker": "9"}, "`9`"),
    ],
)
def test_a_wish_that_makes_no_sense_is_told_and_not_failed(tell, captures, labels, word):
    """A webhook that fails is sent again, which would make it no better."""
    answer = tell(alert(**labels))
    assert answer.status_code == 200
    [told] = answer.json()["refused"]
    assert word in told["problem"]
    assert (told["refusal"], captures.asked) == (None, [])


def test_a_storm_is_asked_for_once_each_and_not_without_end(tell, captures, monkeypatch):
    """Alerts that ask for the same are one wish, and of wishes one message has so many."""
    monkeypatch.setattr(alerts, "MOST_ASKED", 2)
    captures.workers["shop"] = tuple(map(str, range(50)))
    storm = [alert(vitalsd_capture="cpu", target="shop", worker=str(slot % 4)) for slot in range(40)]
    told = tell(*storm).json()
    assert (len(told["asked"]), len(told["refused"]), len(captures.asked)) == (2, 38, 2)


def test_no_alert_can_force_anything(tell, captures):
    """Whatever it writes into its labels."""
    tell(alert(vitalsd_capture="cpu", target="shop", force="true", vitalsd_force="true"))
    assert captures.asked[0]["force"] is False


def test_what_an_alert_calls_itself_is_text(tell, captures):
    """On one line and bounded, since it ends up in terminals and logs."""
    tell(alert(vitalsd_capture="cpu", target="shop", alertname="a\x1b[2J\n" + "b" * 500, fingerprint="f\n" * 99))
    assert "\x1b" not in captures.asked[0]["reason"] and "\n" not in captures.asked[0]["reason"]
    assert len(captures.asked[0]["reason"]) < 150
    assert len(captures.asked[0]["who"]) <= 64


@pytest.mark.parametrize(
    "body", [{}, {"alerts": {}}, {"alerts": [{"status": "new"}]}, {"alerts": [{"labels": {}}]}]
)
def test_what_is_no_message_is_a_sentence(ask, captures, body):
    """400, as anywhere."""
    app = control_app(FixedView(captures=captures), Token("s3cret"), "127.0.0.1")
    answer = ask(app, "POST", "/api/v1/alertmanager", headers=BEARER, json=body)
    assert answer.status_code == 400
    assert "alerts" in answer.json()["error"] or "body" in answer.json()["error"]


def test_deep_nesting_in_what_is_not_read_is_no_crash(ask, captures):
    """Fields that are no matter may hold anything."""
    app = control_app(FixedView(captures=captures), Token("s3cret"), "127.0.0.1")
    body = b'{"alerts": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    headers = {**BEARER, "Content-Type": "application/json"}
    assert ask(app, "POST", "/api/v1/alertmanager", headers=headers, content=body).status_code == 400


def test_a_message_may_be_larger_than_other_bodies(tell):
    """A group of a thousand alerts is one message."""
    answer = tell(*[alert(annotations={"description": "x" * 200}) for _ in range(1000)])
    assert answer.json()["ignored"] == 1000


def test_a_message_is_written_down(tell):
    """One line, with how many of which."""
    with capture_logs() as logs:
        tell(alert(vitalsd_capture="cpu", target="shop"), alert(vitalsd_capture="cpu"), alert())
    [line] = logs
    assert (line["event"], line["asked"], line["refused"], line["ignored"]) == ("alerts_received", 1, 1, 1)
