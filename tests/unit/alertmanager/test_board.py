"""Which alerts there are: of incidents and the time alone, so the agent may be started again in between."""

import pytest
from msgspec.structs import replace
from support.alerts import NOW, incident, noted, resolved

from vitalsd_exporters.alertmanager.alert import labels_of
from vitalsd_exporters.alertmanager.board import LATE_SECONDS, MOST_ALERTS, RESENT_SECONDS, Board

HOLD = 60.0
KEEP = 300.0


@pytest.fixture
def board():
    """One without labels of its own, to which what is over is over."""
    return Board((), HOLD, 0.0)


@pytest.fixture
def patient():
    """One that has alerts fire on."""
    return Board((), HOLD, KEEP)


def state(alerts):
    """Severity -> when it ended, None while it fires."""
    return {dict(labels)["severity"]: alert.ends_at for labels, alert in alerts.items()}


def tell(board, alerts, now):
    """Somebody takes all that fires; which incidents are to be noted."""
    return [name for alert in alerts.values() if alert.ends_at is None for name in board.told(alert, now)]


def test_an_open_incident_fires_since_it_was_opened(board):
    """Whenever the agent has heard of it."""
    ((labels, alert),) = board.take([incident()], NOW + 5000).items()
    assert (labels, alert.starts_at, alert.ends_at) == (labels_of(incident()), NOW, None)


def test_it_is_noted_once(board):
    """One entry in its timeline, whoever else takes it, and however often."""
    alerts = board.take([incident()], NOW)
    assert tell(board, alerts, NOW) == ["a"]
    assert tell(board, alerts, NOW + 60) == []
    told = noted(incident(), NOW)
    assert tell(board, board.take([told], NOW + 120), NOW + 120) == []
    again = Board((), HOLD, 0.0)
    assert tell(again, again.take([told], NOW + 180), NOW + 180) == []


def test_over_is_told_for_five_minutes(board):
    """With the time at which it was, and then it is forgotten."""
    tell(board, board.take([incident()], NOW), NOW)
    over = resolved(noted(incident(), NOW), NOW + 100)
    assert state(board.take([over], NOW + 101)) == {"critical": NOW + 100}
    assert state(board.take([over], NOW + 100 + RESENT_SECONDS)) == {"critical": NOW + 100}
    assert board.take([over], NOW + 101 + RESENT_SECONDS) == {}


def test_what_is_over_fires_on_for_a_while(patient):
    """By the incident's own times, so the next agent goes on with it; then it is told when it was really over."""
    tell(patient, patient.take([incident()], NOW), NOW)
    over = resolved(noted(incident(), NOW), NOW + 100)
    for board in (patient, Board((), HOLD, KEEP)):
        assert state(board.take([over], NOW + 101)) == {"critical": None}
        assert state(board.take([over], NOW + 99 + KEEP)) == {"critical": None}
        assert state(board.take([over], NOW + 100 + KEEP)) == {"critical": NOW + 100}
        assert state(board.take([over], NOW + 100 + KEEP + RESENT_SECONDS)) == {"critical": NOW + 100}
        assert board.take([over], NOW + 101 + KEEP + RESENT_SECONDS) == {}


def test_what_comes_and_goes_is_one_page(patient):
    """A stall of a moment every 75 s, for an hour: nobody hears that it is over, nor that it is there again."""
    one, changes, notes = incident(), set(), []
    for turn in range(48):
        began = NOW + 75 * turn
        if turn:
            one = noted(replace(one, state="open", resolved_at=None), began, "reopened")
        notes += tell(patient, alerts := patient.take([one], began), began)
        changes.add(tuple(state(alerts).items()))
        one = resolved(noted(one, began), began + 60)
        changes.add(tuple(state(patient.take([one], began + 61)).items()))
    assert changes == {(("critical", None),)}
    assert notes == ["a"]
    assert state(patient.take([one], NOW + 75 * 47 + 60 + KEEP)) == {"critical": NOW + 75 * 47 + 60}


def test_what_comes_back_now_more_and_now_less_severe_is_two(patient):
    """Each severity is an alert of its own, and either fires on while the other is found."""
    one, changes = incident(), []
    for turn in range(48):
        began, severity = NOW + 75 * turn, ("critical", "warning")[turn % 2]
        one = replace(one, state="open", resolved_at=None, severity=severity)
        one = noted(one, began, "reopened") if turn else one
        tell(patient, alerts := patient.take([one], began), began)
        changes.append(state(alerts))
        one = resolved(noted(one, began), began + 60)
        changes.append(state(patient.take([one], began + 61)))
    both = {"critical": None, "warning": None}
    assert all(each == both for each in changes[2:])


def test_an_alert_that_fires_on_says_nothing_of_the_one_that_took_its_place(patient):
    """Who has taken the severity of before knows nothing of the one of now."""
    tell(patient, patient.take([incident(severity="warning")], NOW), NOW)
    worse = noted(incident(severity="critical"), NOW + 10, "reopened")
    (before,) = [each for each in patient.take([worse], NOW + 10).values() if each.lead.severity == "warning"]
    assert patient.told(before, NOW + 11) == []
    assert patient.told(patient.take([worse], NOW + 12)[labels_of(worse)], NOW + 12) == ["a"]


def test_what_was_missed_fires_as_long_as_anything_else(patient):
    """Told late, it is held for a while; told early, it fires on like others."""
    missed = resolved(incident(), NOW + 100)
    tell(patient, patient.take([missed], NOW + 110), NOW + 110)
    assert state(patient.take([missed], NOW + 99 + KEEP)) == {"critical": None}
    assert state(patient.take([missed], NOW + 100 + KEEP)) == {"critical": NOW + 100}


def test_over_is_told_by_the_next_agent_too(board):
    """Of the incident's own timeline."""
    over = resolved(noted(incident(), NOW), NOW + 100)
    assert state(board.take([over], NOW + 160)) == {"critical": NOW + 100}


def test_what_nobody_was_told_of_while_it_lasted_is_told_as_fired_and_then_as_over(board):
    """An Alertmanager drops an alert that it hears of only when it is over."""
    missed = resolved(incident(), NOW + 100)
    alerts = board.take([missed], NOW + 400)
    assert state(alerts) == {"critical": None}
    assert tell(board, alerts, NOW + 400) == ["a"]
    assert state(board.take([missed], NOW + 459)) == {"critical": None}
    assert state(board.take([missed], NOW + 460)) == {"critical": NOW + 100}
    told = noted(missed, NOW + 400)
    after_a_restart = Board((), HOLD, 0.0)
    assert state(after_a_restart.take([told], NOW + 459)) == {"critical": None}
    assert state(after_a_restart.take([told], NOW + 460)) == {"critical": NOW + 100}
    assert state(after_a_restart.take([told], NOW + 460 + RESENT_SECONDS)) == {"critical": NOW + 100}
    assert after_a_restart.take([told], NOW + 461 + RESENT_SECONDS) == {}


def test_what_was_missed_for_too_long_is_not_told(board):
    """Nobody is woken for what was over ten minutes ago; and nobody is told of its end alone."""
    missed = resolved(incident(), NOW + 100)
    assert state(board.take([missed], NOW + 100 + LATE_SECONDS)) == {"critical": None}
    assert board.take([missed], NOW + 101 + LATE_SECONDS) == {}


def test_another_severity_ends_the_alert_of_the_one_before(board):
    """It is another alert to Alertmanager, which would let the old one fire until it is forgotten."""
    tell(board, board.take([incident(severity="warning")], NOW), NOW)
    worse = noted(incident(severity="critical"), NOW)
    assert state(board.take([worse], NOW + 30)) == {"critical": None, "warning": NOW + 30}
    assert state(board.take([worse], NOW + 90)) == {"critical": None, "warning": NOW + 30}
    assert state(board.take([worse], NOW + 31 + RESENT_SECONDS)) == {"critical": None}


def test_a_severity_that_nobody_was_told_of_ends_in_silence(board):
    """What was never there need not be taken away."""
    board.take([incident(severity="warning")], NOW)
    assert state(board.take([incident(severity="critical")], NOW + 30)) == {"critical": None}


def test_a_severity_that_comes_back_fires(board):
    """And is not told as over any more."""
    tell(board, board.take([incident(severity="warning")], NOW), NOW)
    board.take([noted(incident(severity="critical"), NOW)], NOW + 30)
    back = noted(incident(severity="warning"), NOW)
    assert state(board.take([back], NOW + 60)) == {"warning": None, "critical": NOW + 60}


def test_an_incident_that_comes_back_fires_again_and_is_noted_again(board):
    """What was told before was told of another time."""
    tell(board, board.take([incident()], NOW), NOW)
    over = resolved(noted(incident(), NOW), NOW + 100)
    board.take([over], NOW + 101)
    back = noted(replace(over, state="open", resolved_at=None), NOW + 200, "reopened")
    alerts = board.take([noted(back, NOW + 201, "captured")], NOW + 202)
    assert state(alerts) == {"critical": None}
    assert tell(board, alerts, NOW + 202) == ["a"]
    missed = resolved(back, NOW + 300)
    assert state(Board((), HOLD, 0.0).take([missed], NOW + 301)) == {"critical": None}


def test_incidents_alike_are_one_alert_until_the_last_is_over(board):
    """It began with the first of them and ends with the last; each is noted."""
    alerts = board.take([incident("a"), incident("b", at=NOW + 10)], NOW + 10)
    (alert,) = alerts.values()
    assert (alert.starts_at, alert.ids) == (NOW, ("a", "b"))
    assert tell(board, alerts, NOW + 10) == ["a", "b"]
    first = resolved(noted(incident("a"), NOW + 10), NOW + 50)
    second = noted(incident("b", at=NOW + 10), NOW + 10)
    assert state(board.take([first, second], NOW + 60)) == {"critical": None}
    assert state(board.take([first, resolved(second, NOW + 80)], NOW + 90)) == {"critical": NOW + 80}


def test_an_incident_that_was_forgotten_ends(board):
    """Too many are open, and memory has no room for it: nobody may be left with an alert that nobody renews."""
    tell(board, board.take([incident()], NOW), NOW)
    assert state(board.take([], NOW + 30)) == {"critical": NOW + 30}
    assert board.take([], NOW + 31 + RESENT_SECONDS) == {}


def test_other_labels_of_the_configuration_end_the_alerts_of_those_before(board):
    """A reload is no reason for alerts that fire for nobody."""
    tell(board, board.take([incident()], NOW), NOW)
    board.static = (("cluster", "eu"),)
    alerts = board.take([noted(incident(), NOW)], NOW + 30)
    assert {dict(labels).get("cluster"): alert.ends_at for labels, alert in alerts.items()} == {
        "eu": None,
        None: NOW + 30,
    }


def test_labels_that_are_configured_no_more_do_not_fire_on(patient):
    """They were another name of the same, and are nobody's now."""
    tell(patient, patient.take([incident()], NOW), NOW)
    patient.static = (("cluster", "eu"),)
    alerts = patient.take([noted(incident(), NOW)], NOW + 30)
    assert sorted(alert.ends_at or 0 for alert in alerts.values()) == [0, NOW + 30]


def test_a_clock_that_is_set_back_loses_nothing(board):
    """What was over in the future is over."""
    over = resolved(noted(incident(), NOW), NOW + 100)
    assert state(board.take([over], NOW - 4000)) != {}


def test_thousands_of_incidents_are_a_bounded_number_of_alerts(board):
    """The most severe first; and what is remembered of those that went is bounded too."""
    for turn in range(8):
        many = [
            incident(f"{turn}-{at}", target=f"t{turn}-{at}", severity="critical" if at % 4 == 0 else "warning")
            for at in range(MOST_ALERTS + 200)
        ]
        alerts = board.take(many, NOW + turn)
        assert len(alerts) == MOST_ALERTS
        assert board.left_out >= 200
        assert all(alert.ends_at is None for alert in alerts.values())
        tell(board, alerts, NOW + turn)
        remembered = len(board._told) + len(board._gone) + len(board._fired) + len(board._taken)
        assert remembered <= 6 * MOST_ALERTS
    assert sum(alert.lead.severity == "critical" for alert in alerts.values()) >= 300
    board.take([], NOW + 10)
    board.take([], NOW + 5000)
    assert (board._told, board._gone, board._fired) == ({}, {}, {})
