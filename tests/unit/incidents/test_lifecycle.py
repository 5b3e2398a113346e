"""The life of incidents, told by a clock that is set by hand."""

import msgspec
import pytest
from msgspec.structs import replace
from support.views import GONE, SHOP, WATCHED

from vitalsd.ids import new_id
from vitalsd.incidents import lifecycle
from vitalsd.incidents.lifecycle import Incidents
from vitalsd.model import Finding, Frame

NOON = 1_782_907_200.0
"""2026-07-01T12:00:00Z."""


@pytest.fixture
def incidents():
    """Nothing found yet."""
    return Incidents()


def events(incident):
    """The words of its timeline."""
    return [entry["event"] for entry in incident.timeline]


def test_a_finding_opens_an_incident_at_once(incidents, stalled):
    """The evidence is there, so nothing is waited for; everything of the finding is in it."""
    [opened] = incidents.take([stalled(seconds=0.2)], NOON)
    assert (opened.state, opened.opened_at, opened.updated_at, opened.resolved_at) == ("open", NOON, NOON, None)
    assert (opened.kind, opened.target, opened.worker, opened.severity) == ("stall", "shop", "0", "warning")
    assert (opened.cause, opened.culprit) == ("blocking_cpu", Frame("parse", "/srv/shop/orders.py", 41))
    assert opened.summary == "parse blocked the loop for 0.20 s."
    assert opened.evidence == {
        "stalls": [{"started_at": NOON - 0.2, "duration_seconds": 0.2, "cause": "blocking_cpu"}],
        "stacks": [{"samples": 3, "frames": [{"function": "parse", "file": "/srv/shop/orders.py", "line": 41}]}],
        "count": 1,
        "longest_seconds": 0.2,
    }
    assert opened.timeline == (
        {"at": NOON, "event": "opened", "text": "warning: parse blocked the loop for 0.20 s."},
    )
    assert incidents.all() == (opened,)


def test_findings_of_one_place_are_one_incident(incidents, stalled):
    """Whatever the line: a deploy that moves the function does not make a new one."""
    incidents.take([stalled()], NOON)
    moved = stalled(at=NOON + 1, culprit=Frame("parse", "/srv/shop/orders.py", 57))
    [incident] = incidents.take([moved], NOON + 1)
    assert incident.count == 2
    assert incident.culprit.line == 57
    assert incidents.all() == (incident,)


@pytest.mark.parametrize(
    "other",
    [
        {"target": "legacy"},
        {"worker": "1"},
        {"cause": "gc_pause"},
        {"culprit": Frame("render", "/srv/shop/orders.py", 41)},
        {"culprit": Frame("parse", "/srv/shop/views.py", 41)},
        {"culprit": None},
    ],
    ids=str,
)
def test_findings_elsewhere_are_another_incident(incidents, stalled, other):
    """Target, worker, cause and culprit's function tell incidents apart."""
    incidents.take([stalled(), stalled(**other)], NOON)
    assert len({incident.id for incident in incidents.all()}) == 2


def test_what_is_repeated_is_counted_and_the_worst_is_told(incidents, stalled):
    """The sentence is of the worst, with how often since when; the evidence holds each stall."""
    for at, seconds in enumerate((0.2, 0.4, 0.3)):
        incidents.take([stalled(at=NOON + at, seconds=seconds)], NOON + at)
    [incident] = incidents.all()
    assert incident.summary == "parse blocked the loop for 0.40 s (3 times since 12:00:00 UTC, worst 0.40 s)."
    assert (incident.opened_at, incident.updated_at, incident.count) == (NOON, NOON + 2, 3)
    assert [stall["duration_seconds"] for stall in incident.evidence["stalls"]] == [0.2, 0.4, 0.3]
    assert (incident.evidence["count"], incident.evidence["longest_seconds"]) == (3, 0.4)


def test_what_decided_it_is_of_the_stall_that_is_told(incidents, stalled):
    """A reason with the seconds of another stall would stand beside a sentence about the worst."""
    for at, seconds in enumerate((0.2, 0.4, 0.3, 0.5, 0.1)):
        found = stalled(at=NOON + at, seconds=seconds, reason=f"it computed for {seconds} s", loop=f"of {seconds}")
        incidents.take([found], NOON + at)
        [incident] = incidents.all()
        worst = max((0.2, 0.4, 0.3, 0.5, 0.1)[: at + 1])
        assert incident.evidence["reason"] == f"it computed for {worst} s"
        assert incident.evidence["loop"] == f"of {worst}"


def test_since_when_has_its_date_when_that_was_another_day(stalled):
    """A time without a day would be taken for today's."""
    incidents = Incidents(resolve_after_seconds=86_400)
    incidents.take([stalled()], NOON)
    [incident] = incidents.take([stalled(at=NOON + 50_000)], NOON + 50_000)
    assert "(2 times since 2026-07-01 12:00:00 UTC, worst 0.20 s)" in incident.summary


def test_one_stall_told_twice_is_one(incidents, stalled):
    """It is found while it lasts and again when it has ended: longer and worse, and not counted again."""
    incidents.take([stalled(at=NOON, seconds=0.1, began=NOON - 0.1)], NOON)
    longer = stalled(at=NOON + 2, seconds=2.1, began=NOON - 0.1, severity="critical")
    [incident] = incidents.take([longer], NOON + 2)
    assert (incident.count, incident.evidence["count"], incident.severity) == (1, 1, "critical")
    assert [stall["duration_seconds"] for stall in incident.evidence["stalls"]] == [2.1]
    assert incident.summary == "parse blocked the loop for 2.10 s."
    assert events(incident) == ["opened", "worse"]


@pytest.mark.parametrize("again", ["2026-07-01T11:59:59.900Z", "2026-07-01T11:59:59.913Z", NOON - 0.112])
def test_a_stall_is_known_by_its_beginning(incidents, stalled, again):
    """Written as a time or as a number, and some milliseconds off, as two looks at two clocks are."""
    incidents.take([stalled(seconds=0.1, began="2026-07-01T11:59:59.900Z")], NOON)
    [incident] = incidents.take([stalled(at=NOON + 1, seconds=1.1, began=again)], NOON + 1)
    assert incident.count == 1


def test_a_finding_may_stand_for_more_stalls_than_it_lists(incidents, stalled):
    """Its `count` is how many."""
    [incident] = incidents.take([stalled(count=25)], NOON)
    assert (incident.count, incident.evidence["count"]) == (25, 25)
    [incident] = incidents.take([stalled(at=NOON + 9, count=5)], NOON + 9)
    assert (incident.count, incident.evidence["count"]) == (30, 30)


def test_severity_only_rises_while_it_is_open(incidents, stalled):
    """A mild stall after a bad one does not make the incident mild."""
    incidents.take([stalled(seconds=0.2)], NOON)
    incidents.take([stalled(at=NOON + 1, seconds=0.9, severity="critical")], NOON + 1)
    [incident] = incidents.take([stalled(at=NOON + 2, seconds=0.2)], NOON + 2)
    assert incident.severity == "critical"
    assert incident.summary.startswith("parse blocked the loop for 0.90 s (3 times")
    assert events(incident) == ["opened", "worse", "evidence"]


def test_more_of_the_same_is_one_entry(incidents, stalled):
    """A timeline is read by people: a hundred stalls alike are a number."""
    for at in range(101):
        incidents.take([stalled(at=NOON + at, seconds=0.2)], NOON + at)
    [incident] = incidents.all()
    assert events(incident) == ["opened", "evidence"]
    assert incident.timeline[1]["text"] == "found 100 more times, the latest of 0.20 s"
    assert incident.timeline[1]["at"] == NOON + 100


def test_a_much_longer_stall_is_an_entry_of_its_own(incidents, stalled):
    """Half as long again is news, whatever the severity."""
    incidents.take([stalled(seconds=0.2)], NOON)
    [incident] = incidents.take([stalled(at=NOON + 1, seconds=0.35)], NOON + 1)
    assert events(incident) == ["opened", "worse"]


def lasting(at, since, severity="warning", culprit=None, kind="pool_saturation"):
    """A finding of something that holds since some time."""
    return Finding(kind, "shop", "0", severity, at, f"{at - since:.0f} s.", culprit=culprit, started_at=since)


def test_what_goes_on_is_counted_once(incidents):
    """It is found at each look, and it is the same that was found at the look before."""
    for second in range(30):
        incidents.take([lasting(NOON + second, NOON + second - 30)], NOON + second)
    [incident] = incidents.all()
    assert (incident.count, incident.summary, incident.updated_at) == (1, "30 s.", NOON + 29)
    assert events(incident) == ["opened"]
    incidents.take([lasting(NOON + 30, NOON - 30, "critical")], NOON + 30)
    assert (incidents.all()[0].count, events(incidents.all()[0])) == (1, ["opened", "worse"])


def test_what_begins_again_is_counted_again(incidents):
    """Open or resolved meanwhile."""
    incidents.take([lasting(NOON, NOON - 30)], NOON)
    incidents.take([lasting(NOON + 50, NOON + 20)], NOON + 50)
    assert (incidents.all()[0].count, events(incidents.all()[0])) == (2, ["opened", "evidence"])
    incidents.take([], NOON + 120)
    incidents.take([lasting(NOON + 121, NOON + 40)], NOON + 121)
    [incident] = incidents.all()
    assert (incident.count, events(incident)[-1]) == (3, "reopened")


def test_an_error_surge_is_one_incident_over_a_restart(incidents):
    """Whoever is to blame, and for the agent that goes on with it too."""
    [opened] = incidents.take([lasting(NOON, NOON - 9, culprit=Frame("a", "/a.py", 1), kind="error_surge")], NOON)
    later = Incidents()
    later.adopt([opened], NOON + 2)
    other = lasting(NOON + 3, NOON - 9, culprit=Frame("b", "/b.py", 1), kind="error_surge")
    [incident] = later.take([other], NOON + 3)
    assert (incident.id, incident.culprit.function, incident.count) == (opened.id, "b", 1)


def test_quiet_resolves_it(incidents, stalled):
    """A minute without a finding, to the second; the timeline says when it was last found."""
    incidents.take([stalled()], NOON)
    incidents.take([stalled(at=NOON + 30)], NOON + 30)
    assert incidents.take([], NOON + 89.9) == []
    [resolved] = incidents.take([], NOON + 90)
    assert (resolved.state, resolved.resolved_at) == ("resolved", NOON + 90)
    assert resolved.timeline[-1]["text"] == "not found again for 60 s, last at 12:00:30 UTC"
    assert incidents.take([], NOON + 91) == []


def test_what_comes_back_soon_is_the_same_incident(incidents, stalled):
    """Within five minutes of resolving: same id, count goes on, as severe as it now is."""
    [opened] = incidents.take([stalled(severity="critical")], NOON)
    incidents.take([], NOON + 60)
    [again] = incidents.take([stalled(at=NOON + 360, seconds=0.15)], NOON + 360)
    assert (again.id, again.state, again.resolved_at, again.count) == (opened.id, "open", None, 2)
    assert (again.opened_at, again.severity) == (NOON, "warning")
    assert events(again) == ["opened", "resolved", "reopened"]
    [quiet] = incidents.take([], NOON + 420)
    assert events(quiet) == ["opened", "resolved", "reopened", "resolved"]


def test_what_comes_back_late_is_another(incidents, stalled):
    """After five minutes it is a new incident; the old one is still told."""
    [first] = incidents.take([stalled()], NOON)
    incidents.take([], NOON + 60)
    [second] = incidents.take([stalled(at=NOON + 361)], NOON + 361)
    assert second.id != first.id
    assert [(incident.id, incident.state) for incident in incidents.all()] == [
        (second.id, "open"),
        (first.id, "resolved"),
    ]


def test_a_clock_that_is_set_back_does_not_keep_it_open(incidents, stalled):
    """Quiet is counted from then on, not for the hours that the clock was wrong."""
    incidents.take([stalled(at=NOON)], NOON)
    incidents.take([], NOON - 7200)
    assert [incident.state for incident in incidents.take([], NOON - 7200 + 60)] == ["resolved"]


def test_endless_culprits_do_not_grow_it(incidents, stalled):
    """At most 200 open per target: whichever has been quiet for longest gives way, is counted, and says so."""
    for number in range(1000):
        found = stalled(at=NOON + number / 100, culprit=Frame(f"lambda_{number}", "/srv/app.py", number))
        incidents.take([found], NOON + number / 100)
    is_open = [incident for incident in incidents.all() if incident.state == "open"]
    assert {incident.culprit.line for incident in is_open} == set(range(800, 1000))
    assert incidents.displaced == 800
    assert len(incidents.all()) == lifecycle.MOST_OPEN + lifecycle.MOST_RESOLVED
    displaced = next(incident for incident in incidents.all() if incident.state == "resolved")
    assert displaced.timeline[-1]["text"] == "shop has more than 200 open: the quietest gives way"


def test_one_target_takes_no_room_from_another(incidents, stalled):
    """The bound is per target."""
    incidents.take([stalled(target="legacy")], NOON)
    for number in range(300):
        incidents.take([stalled(culprit=Frame(f"lambda_{number}", "/srv/app.py", 1))], NOON)
    assert [each.state for each in incidents.all() if each.target == "legacy"] == ["open"]


def test_those_that_come_back_late_again_and_again_do_not_grow_it(incidents, stalled):
    """A stall every ten minutes for a week is a thousand incidents, of which memory holds the latest."""
    for number in range(1000):
        incidents.take([stalled(at=NOON + 600 * number)], NOON + 600 * number)
        incidents.take([], NOON + 600 * number + 60)
    assert len(incidents.all()) == lifecycle.MOST_PAST + 1
    assert incidents.all()[0].opened_at == NOON + 600 * 999


def test_a_timeline_keeps_its_beginning_and_is_bounded(incidents, stalled):
    """Fifty entries: the first, which says how it began, and the latest."""
    for number in range(100):
        incidents.take([stalled(at=NOON + 100 * number)], NOON + 100 * number)
        incidents.take([], NOON + 100 * number + 60)
    [incident] = incidents.all()
    assert len(incident.timeline) == 50
    assert (incident.timeline[0]["event"], incident.timeline[0]["at"]) == ("opened", NOON)
    assert [entry["event"] for entry in incident.timeline[-2:]] == ["reopened", "resolved"]
    assert incident.timeline[-1]["at"] == NOON + 9960


def test_the_latest_ten_stalls_are_kept_and_all_are_counted(incidents, stalled):
    """And the stacks are those of the latest."""
    for at in range(25):
        latest = {"stacks": [{"samples": at, "frames": []}]}
        incidents.take([stalled(at=NOON + at, seconds=0.2, **latest)], NOON + at)
    [incident] = incidents.all()
    assert [stall["started_at"] for stall in incident.evidence["stalls"]] == [
        NOON + at - 0.2 for at in range(15, 25)
    ]
    assert incident.evidence["count"] == incident.count == 25
    assert incident.evidence["stacks"] == [{"samples": 24, "frames": []}]


def test_why_there_is_no_stack_is_said_of_the_latest_stacks_alone(incidents, stalled):
    """A reason that was true of a stall before does not stand beside the stacks of another."""
    at = NOON
    for more, expected in (
        ({"stacks": [], "no_stack_reason": "denied"}, "denied"),
        ({"stacks": [], "no_stack_reason": "over"}, "over"),
        ({}, None),
        ({"stacks": [], "no_stack_reason": "denied"}, "denied"),
    ):
        at += 1.0
        incidents.take([stalled(at, **more)], at)
        (incident,) = incidents.all()
        assert incident.evidence.get("no_stack_reason") == expected


def test_a_worker_that_is_gone_ends_its_incidents(incidents, stalled):
    """Nothing more can be found there, and the timeline says why it ended."""
    incidents.take([stalled(worker="0"), stalled(worker="1"), stalled(worker="7")], NOON)
    changed = incidents.leave([SHOP], NOON + 1)
    assert {incident.worker: incident.timeline[-1]["text"] for incident in changed} == {
        "1": "the process of worker 1 is gone",
        "7": "worker 7 is no longer there",
    }
    assert {incident.worker for incident in incidents.all() if incident.state == "open"} == {"0"}
    assert incidents.leave([SHOP], NOON + 2) == []


def test_a_target_that_is_gone_ends_its_incidents(incidents, stalled):
    """A configuration without it was loaded, or nothing of it is left."""
    incidents.take([stalled()], NOON)
    [gone] = incidents.leave([], NOON + 1)
    assert gone.timeline[-1] == {"at": NOON + 1, "event": "resolved", "text": "shop is no longer watched"}


def test_that_a_worker_is_down_does_not_end_with_the_worker(incidents):
    """It is what the incident tells."""
    down = Finding("worker_down", "shop", GONE.slot, "critical", NOON, "Worker 1 is down.")
    incidents.take([down], NOON)
    assert incidents.leave([SHOP], NOON + 1) == []


def test_a_replacement_in_the_slot_goes_on_with_its_incidents(incidents, stalled):
    """The same code stalls at the same place: that is the same incident."""
    incidents.take([stalled()], NOON)
    again = replace(WATCHED, key=None)
    assert incidents.leave([replace(SHOP, workers=(again,))], NOON + 1) == []


def test_totals_count_every_turn_for_the_worse(incidents, stalled):
    """What opens, comes back or gets worse is counted under its severity."""
    incidents.take([stalled()], NOON)
    incidents.take([stalled(at=NOON + 1)], NOON + 1)
    incidents.take([stalled(at=NOON + 2, severity="critical")], NOON + 2)
    incidents.take([], NOON + 62)
    incidents.take([stalled(at=NOON + 63)], NOON + 63)
    assert incidents.totals == {("shop", "stall", "warning"): 2, ("shop", "stall", "critical"): 1}


def test_all_is_the_same_object_until_something_changes(incidents, stalled):
    """So a stream sees at a glance that there is nothing to tell."""
    incidents.take([stalled()], NOON)
    before = incidents.all()
    incidents.take([], NOON + 1)
    assert incidents.all() is before
    incidents.take([stalled(at=NOON + 2)], NOON + 2)
    assert incidents.all() is not before


def test_what_was_open_goes_on_under_its_id(incidents, stalled):
    """A restarted agent knows it again, adds to its count and its words, and gives it its minute."""
    incidents.take([stalled(seconds=0.7)], NOON)
    [left] = incidents.take([stalled(at=NOON + 1, seconds=0.3)], NOON + 1)
    later = Incidents()
    assert later.adopt([left], NOON + 3600) == []
    assert later.take([], NOON + 3659) == []
    [again] = later.take([stalled(at=NOON + 3659, seconds=0.2)], NOON + 3659)
    assert (again.id, again.count) == (left.id, 3)
    assert again.summary == "parse blocked the loop for 0.70 s (3 times since 12:00:00 UTC, worst 0.70 s)."


def test_what_was_resolved_lately_can_come_back_after_a_restart(incidents, stalled):
    """Hysteresis outlives the agent too."""
    incidents.take([stalled()], NOON)
    [left] = incidents.take([], NOON + 60)
    later = Incidents()
    later.adopt([left], NOON + 100)
    [again] = later.take([stalled(at=NOON + 100)], NOON + 100)
    assert (again.id, events(again)[-1]) == (left.id, "reopened")


def test_what_was_opened_anew_before_the_old_was_known_keeps_its_new_id(incidents, stalled):
    """The disk was slow: the old one ends, and says under which name it goes on."""
    [left] = incidents.take([stalled()], NOON)
    later = Incidents()
    [new] = later.take([stalled(at=NOON + 50)], NOON + 50)
    [ended] = later.adopt([left], NOON + 51)
    assert (ended.id, ended.state, ended.timeline[-1]["text"]) == (left.id, "resolved", f"goes on as {new.id}")
    assert later.all() == (new,)


def test_ids_are_short_sortable_and_safe_anywhere():
    """Letters and digits, in the order of the seconds they were made in, whatever was drawn."""
    early, late = new_id(NOON, lambda bits: 2**bits - 1), new_id(NOON + 1, lambda _bits: 0)
    assert early < late
    assert {len(early), len(late)} == {11}
    assert early.isalnum() and early == early.lower()


def test_an_id_is_never_given_twice(stalled):
    """What is drawn may repeat."""
    draws = iter([7, 7, 7, 8])
    incidents = Incidents(draw=lambda _bits: next(draws))
    incidents.take([stalled(), stalled(worker="1")], NOON)
    first, second = incidents.all()
    assert first.id != second.id


def test_any_finding_becomes_json_of_a_bounded_size(incidents, stalled):
    """Names that are no text, endless lists, depths without end, objects: an incident can always be told."""
    deep = []
    for _ in range(1000):
        deep = [deep]
    bad = stalled(
        culprit=Frame("f\udc80\x1b[31m" * 5000, "/srv/\udcff.py\nx", 1),
        deep=deep,
        wide=["x" * 10_000] * 100_000,
        thing=object(),
        many={str(number): "y" * 100 for number in range(100_000)},
        nan=float("nan"),
        stacks=[{"samples": 1, "frames": [{"function": "f" * 1000, "file": "g" * 1000, "line": 1}] * 500}] * 100,
    )
    [incident] = incidents.take([replace(bad, summary="a\udc80\nb " * 5000)], NOON)
    assert len(msgspec.json.encode(incident)) < 200_000
    assert "\n" not in incident.summary
    assert "\x1b" not in str(incident)
    assert msgspec.json.decode(msgspec.json.encode(incident))["culprit"]["file"] == "/srv/?.py x"


def test_what_grows_takes_the_place_of_why_it_is_not_known():
    """Once it is known nobody asks why it was not; known to be nothing, it says so."""
    incidents = Incidents()
    row = {"type": "shop.Session", "grew": 5}
    for evidence, expected in (
        ({"no_census_reason": "not yet"}, (None, "not yet")),
        ({"growing_types": [row]}, ([row], None)),
        ({"growing_types": [], "no_census_reason": "nothing"}, ([], "nothing")),
    ):
        (incident,) = incidents.take([Finding("leak", "web", "0", "warning", NOON, "", evidence=evidence)], NOON)
        told = incident.evidence.get("growing_types"), incident.evidence.get("no_census_reason")
        assert told == expected


def test_a_note_is_one_more_entry(incidents, stalled):
    """Of an incident that is open or not; it is no finding, so nothing else changes, and it may be forgotten."""
    [opened] = incidents.take([stalled()], NOON)
    noted = incidents.note(opened.id, NOON + 1, "remedy", "it has\nended")
    assert noted == replace(
        opened, timeline=(*opened.timeline, {"at": NOON + 1, "event": "remedy", "text": "it has ended"})
    )
    [resolved] = incidents.take([], NOON + 61)
    assert events(incidents.note(resolved.id, NOON + 62, "remedy", "so")) == [
        "opened",
        "remedy",
        "resolved",
        "remedy",
    ]
    assert incidents.all()[0].state == "resolved"
    assert incidents.note("nobody", NOON, "remedy", "so") is None
