"""What a capture of ours does to a worker that it is known to hold: told as that, and nobody is woken for it."""

from __future__ import annotations

import pytest
from unit.detect.evidence import hold
from unit.detect.test_stall import CPU, NOON, sample, told

from vitalsd.detect.holds import HELD, held_by, overlaps
from vitalsd.detect.registry import Seen
from vitalsd.detect.stall import StallBounds, StallDetector, find
from vitalsd.incidents.lifecycle import Incidents
from vitalsd.model import Finding, Hold, Verdict
from vitalsd.settings.model import Settings

FLOOD = Verdict("cpu_contention", None, "its thread was ready to run and had to wait")


def held(seconds: float, of: Hold, verdict: Verdict = CPU, **known: object) -> Finding:
    """What is found of a stall that begins a moment after the capture."""
    stalls = [told(seconds, verdict, started_at=NOON + 0.3, **known)]
    (finding,) = find("shop", "0", stalls, StallBounds(), [of])
    return finding


def test_it_is_told_as_what_it_is() -> None:
    """Who has asked, for what, how long: no cause, no culprit, no advice, and no page."""
    finding = held(5.2, hold(NOON))
    assert finding.summary == (
        "Worker 0 of `shop` was held for 5.20 s by capture 1n4bcpc0009 (heap, asked for by a person)."
    )
    assert (finding.severity, finding.cause, finding.culprit, finding.fault) == ("info", None, None, HELD)
    assert finding.evidence["capture"] == "1n4bcpc0009"
    assert str(finding.evidence["reason"]).startswith("some 3.1 s were told before")
    assert [each.seconds for each in finding.ended] == [5.2]
    assert "has been held for 2.00 s so far by capture" in held(2.0, hold(NOON), in_progress=True).summary


@pytest.mark.parametrize(
    ("seconds", "of", "severity"),
    [
        (12.3, hold(NOON), "info"),
        (12.5, hold(NOON), "warning"),
        (60.0, hold(NOON), "warning"),
        (5.2, hold(NOON, asked_by="incident", who="0abc"), "warning"),
        (5.2, hold(NOON, asked_by="alert"), "warning"),
    ],
)
def test_it_is_never_critical(seconds: float, of: Hold, severity: str) -> None:
    """However long; a warning where nobody has asked for it, or was told of so long a time."""
    assert held(seconds, of).severity == severity


def test_it_is_the_captures_on_a_loaded_host_too() -> None:
    """What the stall looks like by itself does not matter, nor does it make an incident of the whole target."""
    finding = held(5.2, hold(NOON), FLOOD)
    assert (finding.cause, finding.worker) == (None, "0")
    assert finding.place != find("shop", "0", [told(5.2, FLOOD)], StallBounds())[0].place


@pytest.mark.parametrize(
    ("began", "seconds", "of", "is_held"),
    [
        (-0.1, 5.0, hold(NOON), True),
        (1.9, 60.0, hold(NOON), True),
        (-0.5, 5.0, hold(NOON), False),
        (2.1, 5.0, hold(NOON), False),
        (0.1, 2.5, hold(NOON, 0.63, kind="cpu", watches=True), True),
        (0.1, 2.6, hold(NOON, 0.63, kind="cpu", watches=True), False),
    ],
)
def test_what_is_the_services_own(began: float, seconds: float, of: Hold, is_held: bool) -> None:
    """What began before the capture or well after, and what a profile that begins cannot have done."""
    assert (held_by([of], NOON + began, seconds) is of) is is_held
    assert held_by([], NOON + began, seconds) is None


def test_what_stalls_beside_it_is_told_as_ever() -> None:
    """A hold hides nothing: the service's own stall of the same minute is critical, with its cause."""
    stalls = [told(5.2, CPU, started_at=NOON + 0.3), told(0.8, CPU, started_at=NOON + 20)]
    ours, own = find("shop", "0", stalls, StallBounds(), [hold(NOON)])
    assert (ours.fault, own.fault, own.severity, own.cause) == (HELD, "", "critical", "blocking_cpu")
    incidents = Incidents()
    assert len(incidents.take([ours, own], NOON + 30)) == 2


def test_it_is_told_once_while_it_lasts_and_after() -> None:
    """One incident, counted once, whose sentence has the length that it came to."""
    incidents = Incidents()
    for seconds, in_progress in ((1.0, True), (2.0, True), (5.2, False)):
        found = held(seconds, hold(NOON), in_progress=in_progress)
        (incident,) = incidents.take([found], NOON + 0.3 + seconds)
    assert (incident.count, incident.severity) == (1, "info")
    assert "was held for 5.20 s by capture" in incident.summary


def test_the_rule_says_so() -> None:
    """It has fired, and why is the same sentence."""
    seen = Seen("shop", "0", NOON + 6, (sample(),), (told(5.2, CPU, started_at=NOON + 0.3),), holds=(hold(NOON),))
    judgement = StallDetector(Settings()).judge(seen)
    assert (judgement.state.state, judgement.state.reason) == ("fired", judgement.findings[0].summary)


def test_what_has_waited_since() -> None:
    """The hold itself, and as long again: what has queued up is worked off."""
    of = hold(NOON, pause_seconds=5.0)
    spans = ((-3, -1), (-1, 1), (5, 8), (13, 16), (15, 18))
    assert [overlaps(of, NOON + since, NOON + until) for since, until in spans] == [False, True, True, True, False]
