"""When one Alertmanager is sent what: new things at once, the rest each interval, and a pause when it fails."""

import pytest
from msgspec.structs import replace
from support.alerts import NOW, incident

from vitalsd_exporters.alertmanager.alert import Alert, labels_of
from vitalsd_exporters.alertmanager.outbox import Outbox


def alert(target, ends_at=None):
    """The alert of one target."""
    one = incident(target=target)
    return Alert(labels_of(one), one, (one.id,), NOW, ends_at)


def shown(*alerts):
    """What there is."""
    return {each.labels: each for each in alerts}


SHOP, WEB = alert("shop"), alert("web")


@pytest.fixture
def outbox():
    """One that draws no lots."""
    return Outbox(60.0, lambda: 1.0)


def test_sent_at_once_and_again_each_interval(outbox):
    """And not in between."""
    assert outbox.due(shown(SHOP), 0.0) == [SHOP]
    outbox.took([SHOP], 0.0)
    assert outbox.due(shown(SHOP), 59.0) == []
    assert outbox.wait_seconds(shown(SHOP), 59.0) == 1.0
    assert outbox.due(shown(SHOP), 60.0) == [SHOP]


def test_what_is_new_is_sent_at_once_alone(outbox):
    """An alert does not wait for the minute of another."""
    outbox.took([SHOP], 0.0)
    assert outbox.due(shown(SHOP, WEB), 10.0) == [WEB]


def test_what_would_follow_soon_comes_along(outbox):
    """Hundreds of alerts that began at hundreds of moments are one message in a minute."""
    outbox.took([SHOP], 0.0)
    outbox.took([WEB], 25.0)
    assert outbox.due(shown(SHOP, WEB), 60.0) == [SHOP, WEB]


def test_an_end_is_sent_at_once(outbox):
    """And a new beginning too."""
    outbox.took([SHOP], 0.0)
    over = replace(SHOP, ends_at=NOW)
    assert outbox.due(shown(over), 1.0) == [over]
    outbox.took([over], 1.0)
    assert outbox.due(shown(SHOP), 2.0) == [SHOP]


def test_more_evidence_is_no_reason_to_send(outbox):
    """A stall each second is not a message each second."""
    outbox.took([SHOP], 0.0)
    more = replace(SHOP, lead=incident(target="shop", count=9))
    assert outbox.due(shown(more), 5.0) == []


def test_nothing_is_due_of_nothing(outbox):
    """Without alerts nobody wakes up."""
    assert outbox.due({}, 0.0) == []
    assert outbox.wait_seconds({}, 0.0) is None


def test_after_a_failure_all_is_sent_again(outbox):
    """It may have lost what it had."""
    outbox.took([SHOP], 0.0)
    outbox.failed(10.0)
    assert outbox.due(shown(SHOP, WEB), 10.5) == []
    assert outbox.wait_seconds(shown(SHOP, WEB), 10.5) == 0.5
    assert outbox.due(shown(SHOP, WEB), 11.0) == [SHOP, WEB]


def test_pauses_grow_to_the_interval_and_begin_anew(outbox):
    """One that is away for hours is asked once in a minute."""
    assert [outbox.failed(0.0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    outbox.succeeded()
    assert outbox.failed(0.0) == 1


@pytest.mark.parametrize(("drawn", "pause"), [(0.0, 0.5), (0.5, 0.75)])
def test_pauses_differ(drawn, pause):
    """A hundred agents do not come back at once."""
    assert Outbox(60.0, lambda: drawn).failed(0.0) == pause


def test_a_short_interval_bounds_the_pause():
    """And a second is the least."""
    outbox = Outbox(3.0, lambda: 1.0)
    assert [outbox.failed(0.0) for _ in range(4)] == [1, 2, 3, 3]


def test_only_alerts_of_now_are_remembered(outbox):
    """Thousands come and go."""
    for turn in range(5000):
        each = alert(f"t{turn}")
        outbox.due(shown(each), float(turn))
        outbox.took([each], float(turn))
        assert len(outbox._sent) == 1
