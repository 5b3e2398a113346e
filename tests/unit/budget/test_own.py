"""What of a stall is the process's own, and what the host had it wait."""

from __future__ import annotations

import msgspec
import pytest
from support.runs import stall

from vitalsd.budget.own import own_seconds, own_verdict
from vitalsd.model import Cause, ThreadEvidence


def waited(seconds: float, runqueue: float, computed: float = 0.0) -> ThreadEvidence:
    """A thread that was looked at for so long."""
    return ThreadEvidence(seconds, 9, {}, {}, cpu_seconds=computed, runqueue_seconds=runqueue)


@pytest.mark.parametrize(
    ("cause", "thread", "cpu", "own"),
    [
        ("blocking_call", None, None, 1.0),
        ("blocking_call", waited(1.0, 0.0), 0.0, 1.0),
        ("blocking_call", waited(0.8, 0.2), 0.0, 0.75),
        ("blocking_call", waited(0.4, 0.4), 0.0, 1.0),
        ("blocking_cpu", waited(1.0, 0.8), 0.4, 0.4),
        ("blocking_cpu", waited(1.0, 5.0), 0.0, 0.0),
        ("cpu_contention", waited(1.0, 0.3), 0.2, 0.2),
        ("cpu_contention", waited(1.0, 0.3, computed=0.3), None, 0.3),
        ("host_wide", None, None, 0.0),
        ("stopped", None, 7.0, 1.0),
    ],
)
def test_a_second_by_the_clock(cause: Cause, thread: ThreadEvidence | None, cpu: float | None, own: float) -> None:
    """Of the host's, what was computed; of others, what is left when waits for a processor are taken off."""
    one = stall(1.0, cause=cause)
    evidence = msgspec.structs.replace(one.evidence, thread=thread, cpu_seconds=cpu)
    assert own_seconds(evidence, one.verdict) == pytest.approx(own)


def test_who_has_computed_is_blamed() -> None:
    """The cause is the process's own then, and the host's is in the reason."""
    one = stall(1.0, cause="cpu_contention")
    verdict = own_verdict(msgspec.structs.replace(one.evidence, thread=waited(1.0, 0.7)), one.verdict, 0.3)
    assert (verdict.cause, verdict.culprit, verdict.stall) == ("blocking_cpu", one.verdict.culprit, True)
    assert verdict.reason == ("its thread computed for 0.30 of 0.30 s in parse(); beside that, so it was seen")
