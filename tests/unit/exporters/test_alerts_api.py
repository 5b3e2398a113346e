"""Alertmanager's webhook: what an alert may ask for, and that a storm of them gets what the policy leaves."""

import pytest
from structlog.testing import capture_logs
from support.captures import FakeCaptures
from support.views import FixedView

from vitalsd.capture.model import Refusal
from vitalsd.settings.model import AlertLabels
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

    def request(*told, names=None, **message):
        view = FixedView(captures=captures, alert_labels=names or AlertLabels())
        app = control_app(view, Token("s3cret"), "127.0.0.1")
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


def test_alerts_that_ask_for_the_same_are_one_wish(tell, captures):
    """The others are told which capture it is; an empty worker is none, and one that is named another wish."""
    captures.workers["shop"] = ("0", "1")
    told = tell(
        alert(vitalsd_capture="cpu", target="shop"),
        alert(annotations={"vitalsd_capture": "cpu"}, fingerprint="2", target="shop", worker="", instance="b"),
        alert(vitalsd_capture="cpu", fingerprint="3", target="shop", worker="1"),
        alert(vitalsd_capture="stacks", fingerprint="4", target="shop"),
    ).json()
    assert [(each["kind"], each["worker"]) for each in told["asked"]] == [
        ("cpu", "0"),
        ("cpu", "1"),
        ("stacks", "0"),
    ]
    [same] = told["refused"]
    assert (same["fingerprint"], same["capture"], same["refusal"]) == ("2", told["asked"][0]["id"], None)
    assert len(captures.asked) == 3


def test_other_labels_may_say_the_same(tell, captures):
    """As the configuration names them: what ours are called is then nothing."""
    names = AlertLabels(capture="evidence", target="service", worker="shard")
    told = tell(
        alert(annotations={"evidence": "cpu"}, service="shop", shard="1", target="legacy", worker="0"),
        alert(vitalsd_capture="cpu", target="shop"),
        alert(evidence="cpu", fingerprint="3", target="shop"),
        alert(evidence="all", fingerprint="4", service="shop"),
        names=names,
    ).json()
    assert [(each["kind"], each["target"], each["worker"]) for each in told["asked"]] == [("cpu", "shop", "1")]
    assert told["ignored"] == 1
    assert [("`service`" in each["problem"], "`evidence`" in each["problem"]) for each in told["refused"]] == [
        (True, False),
        (False, True),
    ]


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
    """One line, with how many of which, and what is wrong with them: Alertmanager shows nobody the answer."""
    with capture_logs() as logs:
        tell(alert(vitalsd_capture="cpu", target="shop"), alert(vitalsd_capture="cpu"), alert())
    [line] = logs
    assert (line["event"], line["asked"], line["refused"], line["ignored"]) == ("alerts_received", 1, 1, 1)
    assert line["problems"] == ["it has no label `target`, which says what to capture"]


def test_of_problems_the_log_has_each_once_and_not_all(tell, captures):
    """What the policy has refused is told there by another line, with its reason."""
    storm = [alert(vitalsd_capture="cpu", target=f"nobody{number % 7}") for number in range(14)]
    with capture_logs() as logs:
        tell(*storm)
        captures.refusal = Refusal("budget", "6 captures in this hour, and no more: `capture.per_hour`.")
        tell(alert(vitalsd_capture="cpu", target="shop"))
    wrong, refused = logs
    assert len(wrong["problems"]) == 5
    assert "`nobody0`" in wrong["problems"][0]
    assert (refused["refused"], refused["problems"]) == (1, [])
