"""What Alertmanager is told of an incident: labels that stay as they are, annotations that say what to do."""

import msgspec
import pytest
from support.alerts import NOW, incident, resolved

from vitalsd.model import Finding, Frame
from vitalsd_exporters.alertmanager.alert import Alert, Wording, labels_of, message

BASE = "http://127.0.0.1:18781"


def told(one, *, ids=("a",), ends_at=None, **wording):
    """The message of one alert, half a minute after it was opened."""
    alert = Alert(labels_of(one), one, ids, one.opened_at, ends_at)
    return message(alert, Wording(BASE, **wording), NOW + 240)


def test_labels_are_the_contracts():
    """Whoever writes routes and silences has these to go by."""
    assert dict(labels_of(incident())) == {
        "alertname": "VitalsdStall",
        "kind": "stall",
        "target": "shop",
        "worker": "0",
        "severity": "critical",
        "cause": "blocking_cpu",
    }


@pytest.mark.parametrize(
    ("kind", "name"), [("oom_kill", "VitalsdOomKill"), ("fd_leak", "VitalsdFdLeak"), ("leak", "VitalsdLeak")]
)
def test_a_kind_as_the_name_of_an_alert(kind, name):
    """One scheme, so that nobody has to look names up."""
    assert dict(labels_of(incident(kind=kind)))["alertname"] == name


def test_what_is_not_known_is_no_label():
    """Alertmanager removes empty labels, and a cause that is not known tells nothing."""
    names = dict(labels_of(incident(worker="", cause="unknown"))).keys()
    assert (
        names
        == {"alertname", "kind", "target", "severity"}
        == dict(labels_of(incident(worker="", cause=None))).keys()
    )


def test_what_changes_while_it_lasts_is_no_label():
    """Culprit, count and captures belong to one incident; other labels would be another alert."""
    later = incident("b", at=NOW + 60, count=7, captures=("c1",), culprit=None, summary="Otherwise.")
    assert labels_of(later) == labels_of(incident())


@pytest.mark.parametrize(
    ("kind", "worker", "causes"),
    [
        ("worker_hung", "0", [None, "unknown", "blocking_call", "lock_wait"]),
        ("error_surge", "0", [None, "blocking_cpu"]),
        ("stall", "", ["host_wide", "cpu_contention"]),
        ("starvation", "", ["cpu_contention", "host_wide"]),
    ],
)
def test_a_cause_that_may_change_while_it_lasts_is_no_label(kind, worker, causes):
    """The incident goes on, and so does its alert: nobody hears of the same hang twice."""
    findings = [Finding(kind, "shop", worker, "critical", NOW, "So.", cause) for cause in causes]
    assert len({each.place for each in findings}) == 1
    labels = {labels_of(incident(kind=kind, worker=worker, cause=cause)) for cause in causes}
    assert [dict(each).get("cause") for each in labels] == [None]


def test_a_cause_that_tells_one_incident_from_another_is_a_label():
    """So that it can be routed and silenced by it."""
    assert dict(labels_of(incident(kind="stall", cause="swap")))["cause"] == "swap"
    assert dict(labels_of(incident(kind="gc_pressure", cause="cpu_contention")))["cause"] == "cpu_contention"


def test_labels_of_the_configuration_take_none_of_ours_away():
    """They are checked when they are read; even so ours are those that routes go by."""
    labels = dict(labels_of(incident(), (("cluster", "eu"), ("severity", "none"))))
    assert (labels["cluster"], labels["severity"]) == ("eu", "critical")


def test_annotations_say_what_to_do():
    """Sentence, culprit, advice, links, and when it began."""
    one = incident(advice="stop it", captures=("c1", "c2"), count=3, evidence={"reason": "it ran"})
    assert told(one, runbooks="https://wiki/vitalsd") == {
        "labels": dict(labels_of(one)),
        "annotations": {
            "summary": one.summary,
            "description": "stall of worker 0 of shop since 2026-07-01T12:00:00.250Z, found 3 times. it ran.",
            "incident": f"{BASE}/#/incidents/a",
            "opened_at": "2026-07-01T12:00:00.250Z",
            "culprit": "parse (/srv/shop/orders.py:41)",
            "advice": "stop it",
            "capture": f"{BASE}/#/captures/c2",
            "runbook_url": "https://wiki/vitalsd/docs/incidents/stall.md#blocking_cpu",
        },
        "startsAt": "2026-07-01T12:00:00.250Z",
        "endsAt": "2026-07-01T12:04:00.250Z",
        "generatorURL": f"{BASE}/#/incidents/a",
    }


def test_what_a_service_has_named_wakes_nobody_else_and_leads_nowhere():
    """Slack would make a mention or a link of it; no annotation that quotes the service has any of that."""
    evil = Frame("<!channel> <http://evil|click>", "<a>.js", 1)
    one = incident(
        culprit=evil,
        summary="The loop waits in <lambda>.",
        advice="see <lambda>",
        evidence={"reason": "<!here> ran"},
        captures=("c1",),
    )
    said = told(one)["annotations"]
    assert not [text for text in said.values() if "<" in text or ">" in text]
    assert said["culprit"] == "‹!channel› ‹http://evil|click› (‹a›.js:1)"
    assert said["summary"] == "The loop waits in ‹lambda›."


def test_what_there_is_nothing_of_is_left_out():
    """No annotation is empty."""
    bare = told(incident(worker="", culprit=None, evidence={}, captures=()))["annotations"]
    assert bare.keys() == {"summary", "description", "incident", "opened_at", "runbook_url"}
    assert bare["description"] == "stall of shop since 2026-07-01T12:00:00.250Z."


def test_incidents_that_are_one_alert_are_counted():
    """The lead is told, the others are mentioned."""
    assert told(incident(), ids=("a", "b", "c"))["annotations"]["description"].endswith("And 2 more like it.")


def test_what_fires_on_says_that_it_is_over():
    """Who is woken meanwhile is not told that it goes on."""
    said = told(resolved(incident(), NOW + 30))["annotations"]["description"]
    assert said.endswith(" It was over at 2026-07-01T12:00:30.250Z, and may come back.")
    assert "over" not in told(resolved(incident(), NOW + 30), ends_at=NOW + 30)["annotations"]["description"]


def test_what_is_over_ends_when_it_was():
    """And not when somebody would have forgotten it."""
    assert told(incident(), ends_at=NOW + 30)["endsAt"] == "2026-07-01T12:00:30.250Z"


def test_a_message_is_json():
    """All of it."""
    assert msgspec.json.decode(msgspec.json.encode(told(incident()))) == told(incident())
