"""Whose share of a pool's work is told, and how much unevenness is none."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from unit.detect.ends import Pool

from vitalsd.detect.imbalance import ImbalanceDetector
from vitalsd.history.work import Load
from vitalsd.model import Silence, WorkerKey


def judge(*amounts, before=None, kind="gunicorn", cls="uvicorn.workers.UvicornWorker", busy=True, hung=False):
    """What is said of a pool whose workers were so busy in the window, and in the one before."""
    one = Pool(ImbalanceDetector, workers=len(amounts), kind=kind)
    if one.supervisor is not None:
        one.supervisor = replace(one.supervisor, worker_class=cls)
    earlier = amounts if before is None else before
    loads = {
        str(slot): tuple(Load(cores=each, busy=each if busy else None) for each in both)
        for slot, both in enumerate(zip(amounts, earlier, strict=True))
    }
    silences = {"0": Silence("loop", WorkerKey(10, 1), one.now - 20, 20.0, "S")} if hung else {}
    return one.detector.judge(replace(one.seen, loads=loads, silences=silences))


def told(*amounts, **more):
    """Worker and severity."""
    return [
        (finding.worker, finding.severity)
        for judgement in judge(*amounts, **more)
        for finding in judgement.findings
    ]


def test_one_has_all_the_work():
    """It is full, the others rest, in both windows."""
    assert told(0.95, 0.05, 0.02, 0.1) == [("0", "warning")]
    assert told(0.95, 0.05, 0.02, 0.1, before=(0.4, 0.3, 0.3, 0.3)) == []
    assert told(0.05, 0.95, 0.02, before=(0.95, 0.05, 0.02)) == []


@pytest.mark.parametrize(
    "amounts",
    [
        (0.5, 0.0, 0.0, 0.0),  # whoever wakes last is woken first
        (0.79, 0.0, 0.0, 0.0),
        (0.95, 0.5, 0.4, 0.4),  # busy, and so are the others
        (0.95, 0.9, 0.9, 0.85),
        (0.0, 0.0, 0.0, 0.0),
        (0.9, 0.3),
    ],
)
def test_what_makes_nobody_wait_is_none(amounts):
    """However uneven it is."""
    assert told(*amounts) == []


def test_a_pool_of_two_has_to_be_a_clear_case():
    """Nobody in it can have two and a half times a fair share."""
    assert told(0.95, 0.05) == [("0", "warning")]
    assert told(0.95, 0.15) == []


def test_one_has_none_while_the_others_are_full():
    """A worker short: told, and no more than that."""
    assert told(0.95, 0.9, 0.01) == [("2", "info")]
    assert told(0.95, 0.7, 0.01) == []
    assert told(0.95, 0.9, 0.01, before=(0.95, 0.9, 0.4)) == []


@pytest.mark.parametrize(("kind", "cls"), [("gunicorn", "sync"), ("celery", "prefork"), ("uwsgi", None)])
def test_workers_that_take_one_thing_at_a_time_may_be_long_at_it(kind, cls):
    """Nothing waits behind it; one that does nothing while the others are full is told."""
    assert told(1.0, 0.0, 0.0, 0.0, kind=kind, cls=cls) == []
    assert told(1.0, 1.0, 1.0, 0.0, kind=kind, cls=cls) == [("3", "info")]


@pytest.mark.parametrize("kind", ["multiprocessing", "plain", None])
def test_children_that_need_not_do_the_same_are_not_compared(kind):
    """A writer and three readers are no pool."""
    (judgement,) = judge(1.0, 0.0, 0.0, 0.0, kind=kind)
    assert judgement.state.state == "unavailable"


def test_a_thread_that_computes_beside_the_loop_keeps_nobody_waiting():
    """The loop counts where one is seen."""
    one = Pool(ImbalanceDetector, workers=3, kind="uvicorn")
    loads = {slot: (Load(0.95, 0.1),) * 2 if slot == "0" else (Load(0.0, 0.0),) * 2 for slot in "012"}
    assert [each.findings for each in one.detector.judge(replace(one.seen, loads=loads))] == [()]
    assert told(0.95, 0.0, 0.0, busy=False, kind="uvicorn") == [("0", "warning")]


def test_a_loop_that_hangs_is_told_as_hung_alone():
    """It is busy, in a way."""
    (judgement,) = judge(1.0, 0.0, 0.0, hung=True)
    assert (judgement.findings, judgement.state.state) == ((), "watching")


def aged(**amounts):
    """A pool of four, of which so many have lived for two windows, each as busy as that."""
    one = Pool(ImbalanceDetector, workers=4)
    loads = {slot.removeprefix("w"): (Load(amount, amount),) * 2 for slot, amount in amounts.items()}
    return one.detector.judge(replace(one.seen, loads=loads))


def test_the_young_are_left_out():
    """The others are compared, two at least; who has just been replaced need not be waited for."""
    (judgement,) = aged(w0=0.95, w2=0.02, w3=0.03)
    (finding,) = judgement.findings
    assert (finding.worker, finding.evidence["too_young"]) == ("0", ["1"])
    assert "none of the 2 others" in finding.summary
    (judgement,) = aged(w0=0.4, w2=0.1)
    assert judgement.state.reason == (
        "the busiest of 2 was at work for 40 % of the last 300 s; too young to be judged: 1, 3"
    )


def test_one_alone_is_compared_with_nobody():
    """Two windows of two workers are to be known."""
    (judgement,) = aged(w0=1.0)
    assert judgement.state.state == "watching"
    assert judgement.state.reason == "two must have lived for 600 s, to be compared, and of 4 workers 1 has"


def test_finding():
    """Who, how much, for how long, and what to look for."""
    ((judgement),) = judge(0.96, 0.02, 0.02)
    (finding,) = judgement.findings
    assert finding.summary == (
        "Worker 0 of `shop` has been at work for 96 % of the time for 10 min and does 96 % of the pool's work, "
        "while none of the 2 others was for more than 2 %: what reaches it waits; look for connections that stay "
        "with one worker (keep-alive, WebSockets, a proxy with few of them), or for work that only this one does."
    )
    assert finding.evidence["share"] == 0.96
    assert finding.evidence["busy_shares"] == {"0": 0.96, "1": 0.02, "2": 0.02}
    assert finding.evidence["told_by"] == {"0": "loop", "1": "loop", "2": "loop"}
    ((judgement),) = judge(0.9, 0.9, 0.01, before=(0.9, 0.9, 0.0))
    assert "a worker short" in judgement.findings[0].summary


def test_rules_say_how_busy_the_busiest_was():
    """Of the target."""
    (judgement,) = judge(0.4, 0.1, 0.1)
    assert judgement.state.state == "quiet"
    assert judgement.state.reason == "the busiest of 3 was at work for 40 % of the last 300 s"
