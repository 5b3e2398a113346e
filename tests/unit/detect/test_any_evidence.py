"""Any evidence comes to a verdict, however damaged it is."""

from __future__ import annotations

from typing import get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.detect.cause import decide
from vitalsd.detect.stall import StallBounds, find, idles
from vitalsd.model import Cause, Doing, Frame, HostEvidence, Stack, StallEvidence, ThreadEvidence, TurnEvidence

NUMBERS = st.one_of(st.none(), st.floats(), st.floats(0, 2))
COUNTS = st.one_of(st.none(), st.integers(-5, 10**9))
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "_run", "<module>", "asyncio/events.py", "/srv/app.py", "node:fs", "/usr/lib/python3.11/socket.py"]
    ),
)
STACKS = st.lists(
    st.builds(
        Stack,
        st.integers(-2, 50),
        st.lists(st.builds(Frame, TEXTS, TEXTS, st.integers()), max_size=6).map(tuple),
    ),
    max_size=4,
).map(tuple)
THREADS = st.builds(
    ThreadEvidence,
    seconds=st.floats(),
    looks=st.integers(),
    doing=st.dictionaries(st.sampled_from(get_args(Doing)), st.integers(-3, 50)),
    states=st.dictionaries(st.sampled_from("RSDTtZX"), st.integers(-3, 50)),
    cpu_seconds=NUMBERS,
    runqueue_seconds=NUMBERS,
    voluntary_switches=COUNTS,
    major_faults=COUNTS,
    traced=st.booleans(),
    sibling_cpu_share=NUMBERS,
    peer=st.one_of(st.none(), TEXTS),
)
HOSTS = st.builds(
    HostEvidence,
    agent_late_seconds=st.floats(),
    throttled_seconds=NUMBERS,
    throttled_periods=COUNTS,
    periods=COUNTS,
    memory_pressure_share=NUMBERS,
    cpu_pressure_share=NUMBERS,
    swap_bytes=COUNTS,
)
TURNS = st.builds(
    TurnEvidence,
    looks=st.integers(),
    collecting=st.integers(),
    one_turn=st.booleans(),
    ready=COUNTS,
    ran=COUNTS,
)
EVIDENCE = st.builds(
    StallEvidence,
    turn=st.one_of(st.none(), TURNS),
    loop=TEXTS,
    since=st.floats(),
    seconds=st.one_of(st.floats(), st.floats(0, 2)),
    in_progress=st.booleans(),
    runtime=st.sampled_from(["python", "node", "unknown"]),
    thread=st.one_of(st.none(), THREADS),
    host=HOSTS,
    cpu_seconds=NUMBERS,
    gc_seconds=NUMBERS,
    ready_callbacks=COUNTS,
    stacks=STACKS,
)


@given(EVIDENCE, st.floats(), STACKS)
def test_a_verdict_for_everything(evidence: StallEvidence, interval: float, holders: tuple[Stack, ...]) -> None:
    """There is always a cause and a reason, and the same evidence always comes to the same."""
    evidence = msgspec.structs.replace(evidence, holder_stacks=holders)
    verdict = decide(evidence, switch_interval_seconds=interval)
    assert verdict.cause in get_args(Cause)
    assert verdict.reason
    assert (
        decide(msgspec.structs.replace(evidence, holder_stacks=holders), switch_interval_seconds=interval)
        == verdict
    )


@given(st.lists(st.tuples(EVIDENCE, st.floats()), max_size=4))
def test_findings_of_everything(told: list[tuple[StallEvidence, float]]) -> None:
    """Whatever was seen can be told, and nothing shorter than the threshold is."""
    stalls = [(evidence, decide(evidence), started_at) for evidence, started_at in told]
    findings = find("shop", "0", stalls, StallBounds())
    assert len({finding.place for finding in findings}) == len(findings)
    assert sum(finding.evidence["count"] for finding in findings) == sum(
        one[1].stall and one[0].seconds >= 0.1 and not idles(one, StallBounds()) for one in stalls
    )
