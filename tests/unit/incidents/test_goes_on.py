"""A finding that says since when it has been so is the same one for as long as that is."""

from __future__ import annotations

import pytest

from vitalsd.incidents.evidence import merged
from vitalsd.incidents.lifecycle import Incidents
from vitalsd.model import Finding

NOON = 1_782_907_200.0
MORNING, LATER = "2026-07-01T09:00:00.000Z", "2026-07-01T11:00:00.000Z"


def leak(at: float, since: str | None = MORNING, severity: str = "warning", **evidence: object) -> Finding:
    """What a detector says each time that it is asked."""
    told = {"grew": 7, **evidence} | ({"since": since} if since is not None else {})
    return Finding("leak", "shop", "0", severity, at, f"It leaks since {since}.", evidence=told)


def test_what_goes_on_is_counted_once() -> None:
    """However often it is found; its evidence is the latest."""
    incidents = Incidents()
    for number in range(50):
        [incident] = incidents.take([leak(NOON + 2 * number, grew=number)], NOON + 2 * number)
    assert (incident.count, incident.evidence["grew"]) == (1, 49)
    assert incident.summary == f"It leaks since {MORNING}."
    assert [entry["event"] for entry in incident.timeline] == ["opened"]
    assert (incident.opened_at, incident.updated_at) == (NOON, NOON + 98)


def test_what_has_begun_anew_is_another_time() -> None:
    """It was over, and is found again since a later time."""
    incidents = Incidents()
    incidents.take([leak(NOON)], NOON)
    [incident] = incidents.take([leak(NOON + 2, LATER)], NOON + 2)
    assert incident.count == 2
    assert incident.summary == f"It leaks since {LATER} (2 times since 12:00:00 UTC)."


def test_what_gets_worse_says_so() -> None:
    """Once, and is still the same."""
    incidents = Incidents()
    incidents.take([leak(NOON)], NOON)
    for late in (2, 4, 6):
        [incident] = incidents.take([leak(NOON + late, severity="critical")], NOON + late)
    assert (incident.count, incident.severity) == (1, "critical")
    assert [entry["event"] for entry in incident.timeline] == ["opened", "worse"]


def test_what_comes_back_soon_is_reopened() -> None:
    """Resolved meanwhile, and the same growth as before: still counted once."""
    incidents = Incidents()
    incidents.take([leak(NOON)], NOON)
    [incident] = incidents.take([], NOON + 60)
    assert incident.state == "resolved"
    [incident] = incidents.take([leak(NOON + 120)], NOON + 120)
    assert (incident.state, incident.count) == ("open", 1)
    assert [entry["event"] for entry in incident.timeline] == ["opened", "resolved", "reopened"]


@pytest.mark.parametrize(
    ("before", "new", "fresh"),
    [
        ({}, {"since": MORNING}, 1),
        ({"since": MORNING}, {"since": MORNING}, 0),
        ({"since": MORNING}, {"since": LATER}, 1),
        ({"since": MORNING}, {"p99_seconds": 0.2}, 1),
        ({"p99_seconds": 0.2}, {"p99_seconds": 0.2}, 1),
        ({}, {}, 1),
    ],
    ids=["first", "goes on", "since later", "says it no more", "never said it", "says nothing"],
)
def test_how_many_a_finding_stands_for(before: dict, new: dict, fresh: int) -> None:
    """Without `since`, each time is another."""
    evidence, count = merged(before, new)
    assert (evidence, count) == ({**before, **new}, fresh)


def test_a_count_is_shown_where_there_are_no_stalls() -> None:
    """Of descriptors, it is what the incident is about."""
    from vitalsd.cli.incidents import described

    incident = {
        "id": "1",
        "kind": "fd_leak",
        "target": "shop",
        "worker": "0",
        "severity": "warning",
        "state": "open",
        "opened_at": MORNING,
        "resolved_at": None,
        "updated_at": LATER,
        "cause": None,
        "culprit": None,
        "summary": "It leaks.",
        "evidence": {"count": 99, "grew": 32},
        "captures": [],
        "count": 1,
        "timeline": [],
    }
    assert "evidence\n  count  99\n  grew   32" in described(incident, (), NOON)
