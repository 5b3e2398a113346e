"""Which worker is recycled now, or why none is: each guard by itself, and what holds whatever happens."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.remedies import ARBITER, incident, key, pool, recycling, target, worker
from support.storing import NOON
from support.views import MAIN_LOOP, PROBE

from vitalsd.model import Incident, Pulse, StallInProgress, Supervisor, WorkerSample
from vitalsd.remedy.health import doubts_about_others
from vitalsd.remedy.model import Recycling
from vitalsd.remedy.plan import Decision, candidates, decide
from vitalsd.remedy.pool import Pool
from vitalsd.settings.model import Remedy

ON = Remedy(mode="on")


def words(decision: Decision) -> dict[str, str]:
    """Slot -> what stands in its way."""
    return {said.worker.slot: said.word for said in decision.said}


def ordered(decision: Decision) -> str | None:
    """The slot that is recycled."""
    return None if decision.order is None else decision.order.worker.slot


def test_a_leaking_worker_of_a_healthy_pool_is_recycled() -> None:
    """By the signal that its supervisor ends workers with, and the state says so."""
    decision = decide(pool(incidents=[incident(2)]), ON, NOON)
    assert decision.order is not None
    assert (decision.order.worker.slot, decision.order.signal) == ("2", signal.SIGTERM)
    assert "arbiter" in decision.order.reason
    assert (decision.state.state, decision.said) == ("recycling", ())


def test_nothing_is_to_be_done() -> None:
    """Without an incident, with one of another kind, or with a switch that is off."""
    assert decide(pool(), ON, NOON).state.state == "idle"
    others = [incident(1, "growth"), incident(2, "stall"), incident(3, "crash_loop"), incident("", "leak")]
    assert decide(pool(incidents=others), ON, NOON) == decide(pool(), ON, NOON)
    both = pool(incidents=[incident(1), incident(2, "worker_hung")])
    assert ordered(decide(both, replace(ON, leak=False), NOON)) == "2"
    assert ordered(decide(both, replace(ON, worker_hung=False), NOON)) == "1"
    assert decide(both, replace(ON, leak=False, worker_hung=False), NOON).state.state == "idle"


def test_off_is_off() -> None:
    """Whatever there is."""
    decision = decide(pool(incidents=[incident(1)]), Remedy(), NOON)
    assert (decision.order, decision.said, decision.state.state) == (None, (), "off")


def test_a_dry_run_decides_alike() -> None:
    """The same order, which somebody else does not carry out, and a state that says which it is."""
    decision = decide(pool(incidents=[incident(1)]), replace(ON, mode="dry_run"), NOON)
    assert ordered(decision) == "1"
    assert (decision.state.mode, decision.state.state) == ("dry_run", "waiting")
    assert "would be" in decision.state.reason


def test_one_that_hangs_comes_before_one_that_leaks() -> None:
    """And then the oldest; the others are told whom they wait for."""
    decision = decide(pool(6, [incident(0, at=NOON - 900), incident(1), incident(2, "worker_hung")]), ON, NOON)
    assert ordered(decision) == "2"
    assert words(decision) == {"0": "one_at_a_time", "1": "one_at_a_time"}
    assert ordered(decide(pool(6, [incident(1), incident(0, at=NOON - 900)]), ON, NOON)) == "0"


def test_a_worker_is_one_candidate_however_many_incidents_it_has() -> None:
    """The first of them is who is told."""
    both = pool(incidents=[incident(1), incident(1, "worker_hung")])
    assert [found.kind for found, _ in candidates(both, ON)] == ["worker_hung"]


@pytest.mark.parametrize(
    ("supervisor", "says"),
    [
        (None, "no supervisor"),
        (replace(ARBITER, kind="hypercorn"), "ends altogether"),
        (replace(ARBITER, kind="celery"), "drops the task"),
        (replace(ARBITER, kind="uwsgi"), "reload-on-rss"),
        (replace(ARBITER, kind="multiprocessing"), "for ever"),
        (replace(ARBITER, kind="node_cluster"), "own code"),
        (replace(ARBITER, kind="plain"), "nothing is known"),
        (replace(ARBITER, kind="uvicorn", command="uvicorn --reload shop:app"), "--reload"),
    ],
)
def test_who_is_not_replaced_is_not_recycled(supervisor: Supervisor | None, says: str) -> None:
    """A supervisor of which no way is known that loses nothing, or none at all; the reason says which."""
    workers = [worker(slot) for slot in range(4)]
    decision = decide(pool(workers, [incident(1)], snapshot=target(workers, supervisor)), ON, NOON)
    assert (ordered(decision), words(decision)) == (None, {"1": "supervisor"})
    assert says in decision.said[0].sentence
    assert not decision.said[0].waits
    assert decision.state.state == "waiting"


def test_uvicorn_has_a_way() -> None:
    """Its supervisor starts another for each that ends."""
    workers = [worker(slot) for slot in range(2)]
    snapshot = target(workers, replace(ARBITER, kind="uvicorn", command="uvicorn --workers 2 shop:app"))
    assert ordered(decide(pool(workers, [incident(1)], snapshot=snapshot), ON, NOON)) == "1"
    snapshot = target(workers[:1], replace(ARBITER, kind="uvicorn", command="fastapi dev"))
    decision = decide(pool(workers[:1], [incident(0)], snapshot=snapshot), replace(ON, min_healthy=0), NOON)
    assert words(decision) == {"0": "supervisor"}


def test_a_worker_that_is_gone_or_new_is_no_candidate() -> None:
    """What was found of the process before says nothing of the one that has taken its place."""
    down = [worker(0), worker(1, up=False, process=None)]
    assert decide(pool(down, [incident(1)]), ON, NOON).said == ()
    new = [worker(0), worker(1, started=NOON - 30)]
    before = incident(1, updated_at=NOON - 31)
    assert decide(pool(new, [before]), ON, NOON).said == ()
    again = incident(1, updated_at=NOON - 1)
    assert ordered(decide(pool(new, [again]), ON, NOON)) == "1"


@pytest.mark.parametrize("state", ["T", "t"])
def test_a_stopped_worker_is_left_to_who_stopped_it(state: str) -> None:
    """The latest look is what counts. What lets it go on is said by its own incident, for as long as it is so."""
    workers = [worker(0), worker(1, state=state), worker(2)]
    decision = decide(pool(workers, [incident(1, "worker_hung")]), ON, NOON)
    assert words(decision) == {"1": "stopped"}
    assert decision.said[0].sentence == "it is stopped, and somebody may be debugging it"
    looked = [worker(0), worker(1, pulse=Pulse(NOON, state, NOON)), worker(2)]
    assert words(decide(pool(looked, [incident(1)]), ON, NOON)) == {"1": "stopped"}


@pytest.mark.parametrize(
    ("shown_by", "says"), [("heartbeat", "a long request"), ("uninterruptible", "the kernel")]
)
def test_what_may_be_no_hang_or_cannot_be_ended(shown_by: str, says: str) -> None:
    """A slow request is no reason to kill who serves it; a loop that does not come back serves nobody."""
    hung = incident(1, "worker_hung", evidence={"shown_by": shown_by})
    decision = decide(pool(incidents=[hung]), ON, NOON)
    assert words(decision) == {"1": "unsure"}
    assert says in decision.said[0].sentence
    loop = incident(1, "worker_hung", evidence={"shown_by": "loop"})
    assert ordered(decide(pool(incidents=[loop]), ON, NOON)) == "1"


def test_a_supervisor_that_hangs_starts_no_other() -> None:
    """Its own incident is of no worker."""
    decision = decide(pool(incidents=[incident(1), incident("", "worker_hung")]), ON, NOON)
    assert words(decision) == {"1": "supervisor"}
    all_stopped = incident("", "worker_hung", fault="stopped, all workers")
    assert words(decide(pool(incidents=[incident(1), all_stopped]), ON, NOON)) == {}


def test_evidence_first() -> None:
    """It waits for the captures, for so long at most, from when the incident was opened or came back."""
    waiting = {"captured": lambda _incident: False}
    young = incident(1, at=NOON - 119)
    decision = decide(pool(incidents=[young], **waiting), ON, NOON)
    assert words(decision) == {"1": "evidence"}
    assert decision.said[0].waits
    assert "2m at most" in decision.said[0].sentence
    assert ordered(decide(pool(incidents=[young], **waiting), ON, NOON + 1)) == "1"
    assert ordered(decide(pool(incidents=[young]), ON, NOON)) == "1"
    back = incident(1, at=NOON - 9000, timeline=({"at": NOON - 5, "event": "reopened", "text": "So."},))
    assert words(decide(pool(incidents=[back], **waiting), ON, NOON)) == {"1": "evidence"}


def test_whom_somebody_looks_at_is_left_alone() -> None:
    """However long that takes: it is their capture, and it has an end."""
    watched = pool(incidents=[incident(1, at=NOON - 9000)], is_watched=lambda worker: worker.slot == "1")
    assert words(decide(watched, ON, NOON)) == {"1": "evidence"}


def test_one_at_a_time() -> None:
    """While one ends, or nobody has taken its place yet."""
    for more in ({"ended_at": None, "replaced_at": None}, {"replaced_at": None}):
        busy = recycling(3, at=NOON - 3, key=key(3), **more)
        decision = decide(pool(incidents=[incident(1)], recyclings=[busy]), ON, NOON)
        assert words(decision) == {"1": "one_at_a_time"}
        assert (decision.state.state, decision.said[0].waits) == ("recycling", True)


@pytest.mark.parametrize(
    ("unwell", "why"),
    [
        ({"up": False, "process": None}, "is down"),
        ({"process": None}, "has not been read yet"),
        ({"state": "T"}, "is stopped"),
        ({"state": "Z"}, "has ended, and its supervisor does not fetch it"),
        ({"started": NOON - 47.5}, "is young, and settles for 13s more (workers.settle)"),
        ({"started": NOON + 3600}, "is young, and settles for 1m more (workers.settle)"),
        (
            {"probe": replace(PROBE, loops=(replace(MAIN_LOOP, current_stall=StallInProgress(1.0, 0.6, ())),))},
            "has a loop that is late by 0.6 s",
        ),
        ({"pulse": Pulse(NOON, "T", NOON)}, "is stopped"),
        (
            {"probe": replace(PROBE, loops=(replace(MAIN_LOOP, current_stall=None, late_seconds=0.6),))},
            "has a loop that is late by 0.6 s",
        ),
    ],
)
def test_who_is_in_doubt_is_not_healthy(unwell: dict[str, Any], why: str) -> None:
    """One that is down, unknown, stopped, dead, only just started or late counts for nothing; it is told why."""
    workers = [worker(0), worker(1), worker(2, **unwell)]
    two = replace(ON, min_healthy=2)
    decision = decide(pool(workers, [incident(1)]), two, NOON)
    assert words(decision) == {"1": "min_healthy"}
    told = f"1 of 2 other workers are healthy, and remedy.min_healthy is 2: worker 2 {why}"
    assert decision.said[0].sentence == told
    well = [worker(0), worker(1), worker(2)]
    assert ordered(decide(pool(well, [incident(1)]), two, NOON)) == "1"


def test_one_that_hangs_is_not_healthy() -> None:
    """Though its process looks like any other."""
    both = [incident(1), incident(2, "worker_hung")]
    (doubt,) = doubts_about_others(worker(1), pool(3, both), NOON)
    assert (doubt.worker, doubt.sentence) == ("2", "hangs")
    decision = decide(pool(3, [*both, incident(0, "worker_hung")]), ON, NOON)
    assert ordered(decision) is not None
    assert words(decide(pool(2, both[:1]), replace(ON, min_healthy=2), NOON)) == {"1": "min_healthy"}


def test_a_worker_alone_in_its_pool() -> None:
    """Nobody serves meanwhile, so it takes `min_healthy: 0`."""
    alone = pool(1, [incident(0)])
    decision = decide(alone, ON, NOON)
    assert words(decision) == {"0": "min_healthy"}
    assert decision.said[0].sentence == "it is alone in its pool, and remedy.min_healthy is 1"
    assert ordered(decide(alone, replace(ON, min_healthy=0), NOON)) == "0"


def test_more_than_there_are() -> None:
    """No pool of four has five others, and nobody waits for that."""
    decision = decide(pool(4, [incident(0)]), replace(ON, min_healthy=5), NOON)
    told = "3 of 3 other workers are healthy, and remedy.min_healthy is 5, more than there are"
    assert decision.said[0].sentence == told


def test_of_many_the_first_are_named() -> None:
    """In a large pool the sentence stays one; another reason is told anew, another second is not."""
    young = [worker(0), *(worker(slot, started=NOON - 10) for slot in range(1, 9))]
    (said,) = decide(pool(young, [incident(0)]), ON, NOON).said
    assert "worker 3 is young" in said.sentence
    assert said.sentence.endswith("; 5 more do not count either")
    (later,) = decide(pool(young, [incident(0)]), ON, NOON + 1).said
    assert (later.detail, later.sentence == said.sentence) == (said.detail, False)
    (down,) = decide(pool([*young[:8], worker(8, up=False)], [incident(0)]), ON, NOON).said
    assert down.detail != said.detail


def test_evidence_by_a_clock_that_nobody_sets() -> None:
    """A clock that is set forward ends no time in which evidence may be had."""
    waiting = {"captured": lambda _incident: False, "open_seconds": lambda _incident: 5.0}
    assert words(decide(pool(incidents=[incident(1, at=NOON - 9000)], **waiting), ON, NOON)) == {"1": "evidence"}


def test_what_cannot_be_done_is_not_tried_for_ever() -> None:
    """Where a kernel takes no signal of ours, nobody ends, and the breaker opens; an end by itself is one."""
    tried = [
        recycling(0, at=NOON - 300 + 50 * n, outcome="unknown", ended_at=None, replaced_at=None) for n in range(3)
    ]
    assert words(decide(pool(4, [incident(1)], tried), ON, NOON)) == {"1": "breaker"}
    ended = [replace(each, ended_at=each.asked_at) for each in tried]
    assert ordered(decide(pool(4, [incident(1)], ended), ON, NOON)) == "1"


def test_a_supervisor_that_is_gone_is_not_held_against_the_next() -> None:
    """In a deployment nobody takes the place either: it counts as any that did not help, and is no day's rest."""
    lost = recycling(0, outcome="not_replaced", replaced_at=None, supervisor=key(77))
    assert ordered(decide(pool(4, [incident(1)], [lost]), ON, NOON)) == "1"
    still = replace(lost, supervisor=ARBITER.key)
    decision = decide(pool(4, [incident(1)], [still]), ON, NOON)
    assert words(decision) == {"1": "breaker"}
    assert "one more is tried in 23h59m" in decision.state.reason
    thrice = [replace(lost, id=str(number)) for number in range(3)]
    decision = decide(pool(4, [incident(1)], thrice), ON, NOON)
    assert "3 in a row did not help" in decision.state.reason


def test_what_most_of_a_pool_has_is_tried_on_one() -> None:
    """More than half, those included whose worker was recycled and is not judged: the next one waits for that."""
    all_of_them = [incident(slot) for slot in range(4)]
    assert ordered(decide(pool(4, all_of_them), ON, NOON)) == "0"
    first = recycling(0)
    decision = decide(pool(4, all_of_them[1:], [first]), ON, NOON)
    assert set(words(decision).values()) == {"judging"}
    assert "4 of 4 workers" in decision.said[0].sentence
    assert decision.said[0].waits
    assert ordered(decide(pool(4, all_of_them[1:2], [first]), ON, NOON)) == "1"
    assert ordered(decide(pool(4, all_of_them[1:3], [first]), ON, NOON)) is None
    judged = recycling(0, outcome="helped")
    assert ordered(decide(pool(4, all_of_them[1:], [judged]), ON, NOON)) == "1"


def test_no_more_than_the_breaker_has_before_one_is_judged() -> None:
    """In a pool however large."""
    three = [recycling(slot, at=NOON - 300 + slot) for slot in range(3)]
    large = pool(40, [incident(9)], three)
    assert words(decide(large, ON, NOON)) == {"9": "judging"}
    assert ordered(decide(large, replace(ON, breaker=4), NOON)) == "9"


def test_backoff() -> None:
    """Twice as long each time it did not help, and never longer than the most."""
    lasting = replace(ON, backoff=10.0, backoff_most=30.0, breaker=9)

    def wait_after(failures: int, seconds: float) -> str | None:
        made = [recycling(0, at=NOON - 9000 + 100 * n, outcome="did_not_help") for n in range(failures)]
        last = recycling(0, at=NOON - seconds - 2, outcome="did_not_help")
        return words(decide(pool(4, [incident(1)], [*made, last]), lasting, NOON)).get("1")

    assert [wait_after(0, seconds) for seconds in (19.5, 20.5)] == ["backoff", None]
    assert [wait_after(5, seconds) for seconds in (29.5, 30.5)] == ["backoff", None]
    helped = recycling(0, at=NOON - 14, outcome="helped")
    assert ordered(decide(pool(4, [incident(1)], [helped]), lasting, NOON)) == "1"


def test_the_breaker() -> None:
    """It opens after so many in a row that did not help, and says so; after its time one more is tried."""
    failed = [recycling(0, at=NOON - 300 + 50 * n, outcome="did_not_help") for n in range(3)]
    decision = decide(pool(4, [incident(1)], failed), ON, NOON)
    assert words(decision) == {"1": "breaker"}
    assert decision.state.state == "stopped"
    assert "3 in a row did not help; one more is tried in 56m52s" in decision.state.reason
    later = NOON + 3600.0
    again = incident(1, updated_at=later)
    assert ordered(decide(pool(4, [again], failed), ON, later)) == "1"
    half_open = [*failed, recycling(1, at=later)]
    assert words(decide(pool(4, [incident(2, updated_at=later)], half_open), ON, later + 60)) == {"2": "judging"}
    failed_again = [*failed, recycling(1, at=later, outcome="did_not_help")]
    decision = decide(pool(4, [incident(2, updated_at=later)], failed_again), ON, later + 60)
    assert words(decision) == {"2": "breaker"}
    mended = [*failed, recycling(1, at=later, outcome="helped")]
    assert ordered(decide(pool(4, [incident(2, updated_at=later)], mended), ON, later + 60)) == "2"


def test_one_that_nobody_replaced_is_enough() -> None:
    """Nothing more is recycled where nobody starts another."""
    lost = recycling(0, outcome="not_replaced", replaced_at=None)
    decision = decide(pool(4, [incident(1)], [lost]), ON, NOON)
    assert words(decision) == {"1": "breaker"}
    assert "nobody has taken the place of worker 0" in decision.state.reason


def test_it_is_seen_whether_it_has_helped() -> None:
    """That is a state too."""
    decision = decide(pool(recyclings=[recycling(2)]), ON, NOON)
    assert (decision.state.state, decision.state.reason) == ("watching", "whether recycling worker 2 has helped")


SAMPLES = st.builds(
    lambda slot, up, state, started: worker(
        slot, up=up, state=state, started=started, **({} if up else {"process": None})
    ),
    st.just(0),
    st.booleans(),
    st.sampled_from(["S", "R", "D", "T", "t", "Z"]),
    st.sampled_from([NOON - 7200, NOON - 30]),
)


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """Any pool with any incidents and recyclings."""
    samples: list[WorkerSample] = [
        replace(draw(SAMPLES), slot=str(slot), key=key(slot)) for slot in range(draw(st.integers(1, 6)))
    ]
    slots = st.integers(0, len(samples) - 1)
    incidents: list[Incident] = [
        incident(draw(slots), draw(st.sampled_from(["leak", "worker_hung", "stall"])), id=f"i{number}")
        for number in range(draw(st.integers(0, 6)))
    ]
    recyclings: list[Recycling] = []
    for number in range(draw(st.integers(0, 5))):
        outcome = draw(st.sampled_from([None, "helped", "did_not_help", "not_replaced", "unknown"]))
        more = {} if outcome or draw(st.booleans()) else {"replaced_at": None, "key": key(draw(slots))}
        recyclings.append(recycling(draw(slots), at=NOON - 500 + 100 * number, outcome=outcome, **more))
    captured = draw(st.booleans())
    return pool(samples, incidents, recyclings, captured=lambda _incident: captured)


@settings(max_examples=400, deadline=None)
@given(pools(), st.integers(0, 4), st.integers(1, 4))
def test_whatever_the_pool(any_pool: Pool, least: int, breaker: int) -> None:
    """At most one at a time, never below the least that must be healthy, never one that is stopped or down."""
    remedy = replace(ON, min_healthy=least, breaker=breaker)
    decision = decide(any_pool, remedy, NOON)
    told = {said.worker.slot for said in decision.said}
    assert told | {ordered(decision)} - {None} == {each.slot for _, each in candidates(any_pool, remedy)}
    if decision.order is None:
        return
    chosen = decision.order.worker
    assert chosen.slot not in told
    assert chosen.up
    assert chosen.process is not None
    assert chosen.process.state not in "Tt"
    assert not any(each.in_progress for each in any_pool.recyclings)
    hung = {each.worker for each in any_pool.incidents if each.kind == "worker_hung"}
    others = [
        each
        for each in any_pool.snapshot.workers
        if each.slot != chosen.slot
        and each.up
        and each.process is not None
        and each.process.state in ("S", "R", "D")
        and each.process.started_at == NOON - 7200
        and each.slot not in hung
    ]
    assert len(others) >= least


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 8), st.integers(1, 5), st.lists(st.integers(1, 400), min_size=30, max_size=60))
def test_a_bad_deploy_is_not_churned(size: int, breaker: int, steps: list[int]) -> None:
    """All workers leak, whatever is done: as many are recycled as the breaker has, and one each time it resets."""
    remedy = replace(ON, breaker=breaker, helped_after=600.0, breaker_resets_after=3600.0, backoff_most=300.0)
    now, begun = NOON, 0
    recyclings: list[Recycling] = []
    for step in steps:
        now += step
        recyclings = [
            replace(each, outcome="did_not_help", judged_at=now)
            if each.outcome is None and now - each.asked_at > 200
            else each
            for each in recyclings
        ]
        incidents = [incident(slot, updated_at=now) for slot in range(size)]
        decision = decide(pool(size, incidents, recyclings), remedy, now)
        if decision.order is not None:
            begun += 1
            recyclings.append(recycling(decision.order.worker.slot, at=now))
        assert sum(each.outcome is None for each in recyclings) <= 1
    assert begun <= breaker + (now - NOON) // remedy.breaker_resets_after
