"""What to do is told for as long as it is to be done, and of what it was told: one process, one fault."""

from __future__ import annotations

import pytest

from vitalsd.incidents.lifecycle import Incidents
from vitalsd.incidents.own import of_the_agent
from vitalsd.model import Finding

NOON = 1_782_907_200.0


def hung(pid: int = 4711, at: float = NOON, how: str = "loop", severity: str = "critical") -> Finding:
    """A worker that shows no life."""
    advice = f"nobody looks whether it lives; `kill -KILL {pid}` has it replaced"
    return Finding(
        "worker_hung",
        "shop",
        "0",
        severity,
        at,
        f"Worker 0 of `shop` hangs; {advice}.",
        evidence={"pid": pid},
        fault=f"{how}, pid {pid}",
        advice=advice,
    )


def test_it_is_told_while_the_incident_is_open() -> None:
    """In the sentence, and by itself; the timeline, which lasts, has the fact alone."""
    [incident] = Incidents().take([hung()], NOON)
    assert "`kill -KILL 4711` has it replaced" in incident.summary
    assert incident.advice.endswith("has it replaced")
    assert incident.timeline[0]["text"] == "critical: Worker 0 of `shop` hangs."


@pytest.mark.parametrize("way", ["over", "quiet", "gone"])
def test_it_goes_when_the_incident_is_over(way: str) -> None:
    """The pid may be somebody else's by then: no command stays anywhere in the incident."""
    incidents = Incidents()
    incidents.take([hung()], NOON)
    if way == "over":
        [incident] = incidents.over("shop", "0", "worker_hung", NOON + 1, "it came back after 1 s")
    elif way == "quiet":
        [incident] = incidents.take([], NOON + 61)
    else:
        [incident] = incidents.leave((), NOON + 1)
    assert (incident.state, incident.summary, incident.advice) == ("resolved", "Worker 0 of `shop` hangs.", "")
    assert "kill" not in str(incident)


def test_it_goes_from_a_sentence_that_was_added_to() -> None:
    """How often it was found stays."""
    incidents = Incidents()
    for second in range(3):
        incidents.take([hung(at=NOON + second)], NOON + second)
    [incident] = incidents.over("shop", "0", "worker_hung", NOON + 5, "it came back")
    assert incident.summary == "Worker 0 of `shop` hangs (3 times since 12:00:00 UTC)."


def test_what_comes_back_is_told_anew() -> None:
    """As it is now, also where it is less bad than before."""
    incidents = Incidents()
    incidents.take([hung()], NOON)
    incidents.over("shop", "0", "worker_hung", NOON + 1, "it came back")
    [incident] = incidents.take([hung(at=NOON + 9, severity="warning")], NOON + 9)
    assert (incident.state, incident.severity) == ("open", "warning")
    assert "`kill -KILL 4711`" in incident.summary
    assert "kill" not in str(incident.timeline)


def test_another_process_is_another_incident() -> None:
    """And so is another way to show no life: what was found of one is never told of the other."""
    incidents = Incidents()
    incidents.take([hung()], NOON)
    incidents.take([hung(), hung(4712), hung(how="stopped")], NOON + 1)
    assert [incident.fault for incident in incidents.all()].count("loop, pid 4711") == 1
    assert len({incident.id for incident in incidents.all()}) == 3


def test_one_fault_of_several_is_over() -> None:
    """The others go on."""
    incidents = Incidents()
    incidents.take([hung(), hung(4712)], NOON)
    [over] = incidents.over("shop", "0", "worker_hung", NOON + 1, "it has ended", "loop, pid 4711")
    assert over.evidence["pid"] == 4711
    assert [incident.state for incident in incidents.all() if incident.evidence["pid"] == 4712] == ["open"]


def test_a_restarted_agent_goes_on_with_the_same_ones() -> None:
    """Fault and advice are part of what is stored."""
    before = Incidents()
    before.take([hung(), hung(4712)], NOON)
    after = Incidents()
    after.adopt(before.all(), NOON + 1)
    changed = after.take([hung(at=NOON + 2)], NOON + 2)
    assert {incident.id for incident in changed} <= {incident.id for incident in before.all()}
    assert len(after.all()) == 2


def own(kind: str, severity: str = "critical", what: str = "was blocked for 1.20 s by a blocking call") -> Finding:
    """Something about the agent."""
    summary = f"Worker 0 of `vitalsd` {what} in wait() (selectors.py:12); use an asynchronous client."
    return Finding(kind, "vitalsd", "0", severity, NOON, summary, advice="use an asynchronous client")


@pytest.mark.parametrize("kind", ["stall", "starvation", "leak", "worker_hung", "crash_loop", "error_surge"])
def test_the_agent_pages_nobody_about_itself(kind: str) -> None:
    """A warning at most, and no advice about a program that its reader has not written."""
    told = of_the_agent(own(kind))
    assert told.severity == "warning"
    assert told.summary.startswith("The agent itself was blocked for 1.20 s by a blocking call in wait() (selecto")
    assert "your service does not notice" in told.summary
    assert "asynchronous client" not in told.summary and told.advice == ""
    assert of_the_agent(own(kind, "info")).severity == "info"


def test_what_is_found_of_others_stays_as_it_is() -> None:
    """Only the agent's own are changed."""
    assert of_the_agent(hung()) == hung()
