"""`/health/...`: when traffic should go elsewhere, and what the person who finds out reads."""

import time

from msgspec.structs import replace
from support.views import BACKGROUND_LOOP, BLOCKING, MAIN_LOOP, NOW, PROBE, SHOP, WATCHED, FixedView

from vitalsd.model import Pulse, Recovering
from vitalsd.settings.model import Health
from vitalsd.times import rfc3339
from vitalsd_exporters.prometheus.app import metrics_app

STUCK = replace(SHOP, workers=(WATCHED,))
WELL = replace(SHOP, workers=(replace(WATCHED, probe=replace(PROBE, loops=(BACKGROUND_LOOP,))),))


def app(*targets, **fields):
    """The metrics port over these targets."""
    return metrics_app(FixedView(all_targets=targets, **fields), lifecycle=False)


def test_a_target_that_is_well_is_ok(ask):
    """The body is as short as it can be, and no proxy keeps it."""
    response = ask(app(WELL), "GET", "/health/shop")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response.headers["cache-control"] == "no-store"


def test_a_stuck_loop_makes_the_target_unavailable(ask):
    """The reason names the worker, the loop, how long, the limit, and the line that blocks."""
    response = ask(app(STUCK), "GET", "/health/shop")
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert response.json() == {
        "status": "unavailable",
        "reasons": [
            (
                "Worker `0` of target `shop` is stuck: its event loop `main` has been blocked for 1.25 s, "
                "longer than the 0.5 s that `health.max_delay` allows; it is in `parse` (orders.py:41)."
            )
        ],
    }


def test_all_of_them_are_as_well_as_the_worst(ask):
    """Who has one service need not know what it is called here; the agent itself is nobody's traffic."""
    own = replace(STUCK, name="vitalsd", workers=(replace(WATCHED, target="vitalsd"),))
    assert ask(app(WELL, own), "GET", "/health").json() == {"status": "ok"}
    response = ask(app(WELL, STUCK), "GET", "/health")
    assert response.status_code == 503
    (reason,) = response.json()["reasons"]
    assert "target `shop` is stuck" in reason


def test_nothing_that_is_watched_takes_no_traffic(ask):
    """A service that has not come up yet, or that nobody finds, is not well; the agent is no service."""
    own = replace(WELL, name="vitalsd", workers=(replace(WATCHED, target="vitalsd"),))
    for targets in ((), (own,)):
        response = ask(app(*targets), "GET", "/health")
        assert response.status_code == 503
        (reason,) = response.json()["reasons"]
        assert reason.startswith("No target is found: ")


def test_a_stall_within_the_limit_is_ok(ask):
    """The limit is the operator's."""
    assert ask(app(STUCK, health=Health(max_delay=1.25)), "GET", "/health/shop").status_code == 200


def test_a_stall_without_a_stack_is_told_without_a_place(ask):
    """What is not known is left out of the sentence."""
    loop = replace(MAIN_LOOP, current_stall=replace(MAIN_LOOP.current_stall, stacks=()))
    target = replace(SHOP, workers=(replace(WATCHED, probe=replace(PROBE, loops=(loop,))),))
    [reason] = ask(app(target), "GET", "/health/shop").json()["reasons"]
    assert reason.endswith("`health.max_delay` allows.")


def test_a_loop_that_is_late_by_less_than_a_stall_counts_too(ask):
    """The limit of health may be below the threshold of stalls."""
    loop = replace(MAIN_LOOP, current_stall=None, late_seconds=0.3)
    target = replace(SHOP, workers=(replace(WATCHED, probe=replace(PROBE, loops=(loop,))),))
    assert ask(app(target, health=Health(max_delay=0.2)), "GET", "/health/shop").status_code == 503
    assert ask(app(target), "GET", "/health/shop").status_code == 200


def test_a_stopped_worker_is_unavailable(ask):
    """A frozen process has no loop that could be late, and answers nobody."""
    (worker,) = WELL.workers
    unlooked = replace(worker, pulse=None, process=replace(worker.process, state="T"))
    target = replace(WELL, workers=(unlooked,))
    [reason] = ask(app(target), "GET", "/health/shop").json()["reasons"]
    assert "is stopped" in reason


def test_every_worker_that_ails_is_named(ask):
    """One is stuck: the target is; one is gone: the others serve, and only its own address says so."""
    reasons = ask(app(SHOP), "GET", "/health/shop").json()["reasons"]
    assert [reason[:10] for reason in reasons] == ["Worker `0`"]
    assert "is down" in ask(app(SHOP), "GET", "/health/shop/1").json()["reasons"][0]
    gone = replace(SHOP, workers=tuple(worker for worker in SHOP.workers if not worker.up))
    assert "is down" in ask(app(gone), "GET", "/health/shop").json()["reasons"][0]


def test_a_vacant_place_takes_no_traffic(ask):
    """And is not called down."""
    workers = tuple(replace(worker, vacant=not worker.up) for worker in SHOP.workers)
    target = replace(SHOP, workers=workers)
    [reason] = ask(app(target), "GET", "/health/shop/1").json()["reasons"]
    assert reason.endswith("has ended in order and nothing has taken its place: the pool has one fewer.")


def test_a_target_without_workers_is_unavailable(ask):
    """Nobody is there to take traffic."""
    response = ask(app(replace(SHOP, up=False, workers=())), "GET", "/health/shop")
    assert response.status_code == 503
    assert "has no worker" in response.json()["reasons"][0]


def test_a_worker_answers_for_itself_alone(ask):
    """A sidecar's probe must not fail for its neighbour."""
    pool = replace(SHOP, workers=(WELL.workers[0], replace(WATCHED, slot="1")))
    assert ask(app(pool), "GET", "/health/shop/0").json() == {"status": "ok"}
    assert ask(app(pool), "GET", "/health/shop/1").status_code == 503


def test_an_unknown_target_is_not_found(ask):
    """A typo in a probe is neither health nor illness."""
    response = ask(app(WELL), "GET", "/health/shopp")
    assert response.status_code == 404
    assert "`shopp`" in response.json()["error"]


def test_an_unknown_worker_is_not_found(ask):
    """The answer names those there are."""
    response = ask(app(SHOP), "GET", "/health/shop/7")
    assert response.status_code == 404
    assert "it has `0`, `1`" in response.json()["error"]
    assert ask(app(SHOP), "GET", "/health/nobody/0").status_code == 404


HANG = {"pid": 4711, "shown_by": "heartbeat", "silent_seconds": 9.0}


def hung(state="open", **fields):
    """A worker that is well but for its incident."""
    (worker,) = WELL.workers
    known = {
        "kind": "worker_hung",
        "target": "shop",
        "worker": worker.slot,
        "state": state,
        "evidence": {**HANG, "pid": worker.key.pid, "since": rfc3339(time.time() - 9)},
        **fields,
    }
    return app(WELL, all_incidents=(replace(BLOCKING, **known),))


def test_a_worker_that_is_hung_is_unavailable(ask):
    """One without a loop as well: its incident says what it is at."""
    response = ask(hung(), "GET", "/health/shop")
    assert response.status_code == 503
    [reason] = response.json()["reasons"]
    assert (
        "Worker `0` of target `shop` has been hung for 9 s: it is at work and touches no heartbeat file; it"
        in reason
    )
    assert f"see incident `{BLOCKING.id}`" in reason


def test_who_has_taken_the_place_of_a_hung_worker_is_available(ask):
    """The incident is about another process."""
    assert ask(hung(evidence={**HANG, "pid": 1}), "GET", "/health/shop").status_code == 200


def test_a_worker_that_was_hung_until_a_moment_ago_is_still_unavailable(ask):
    """`health.recovered_after` says for how long, and Retry-After what is left of it."""
    response = ask(hung("resolved", resolved_at=time.time() - 0.5), "GET", "/health/shop")
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert "was hung until 0.5 s ago" in response.json()["reasons"][0]
    assert ask(hung("resolved", resolved_at=time.time() - 3), "GET", "/health/shop").status_code == 200


def test_a_loop_that_was_late_until_a_moment_ago_is_still_unavailable(ask):
    """So whoever asks between two stalls hears of both."""
    recoveries = {WELL.workers[0].key: Recovering("main", 0.9, 0.2)}
    response = ask(app(WELL, recoveries=recoveries), "GET", "/health/shop/0")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["reasons"] == [
        (
            "Worker `0` of target `shop` was stuck until a moment ago: its event loop `main` was blocked for 0.90 "
            "s; `health.recovered_after` asks for 2 s on time."
        )
    ]


def test_the_latest_look_at_a_state_counts(ask):
    """Samples are three seconds apart, looks at life one."""
    (worker,) = WELL.workers
    process = replace(worker.process, state="T")
    goes_on = replace(worker, process=process, pulse=Pulse(NOW, "S", NOW - 1))
    assert ask(app(replace(WELL, workers=(goes_on,))), "GET", "/health/shop").status_code == 200
    stopped = replace(worker, pulse=Pulse(NOW, "T", NOW - 1))
    assert ask(app(replace(WELL, workers=(stopped,))), "GET", "/health/shop").status_code == 503


LOOP = {"ends": 7, "within_seconds": 30.0, "by": {"exit 3": 7}, "slots": ["0"]}


def pool(*slots):
    """A target with these workers, all of them well."""
    return replace(SHOP, workers=tuple(replace(WELL.workers[0], slot=slot) for slot in slots))


def looping(target_, state="open", caught=("0",), ended=0.0, **fields):
    """The same while workers of it keep ending, the last of them so long ago."""
    exits = [{"slot": "0", "ended_at": time.time() - ended}]
    evidence = {**LOOP, "slots": list(caught), "exits": exits}
    known = {"kind": "crash_loop", "target": "shop", "worker": "", "state": state, "evidence": evidence, **fields}
    return app(target_, all_incidents=(replace(BLOCKING, **known),))


def test_a_service_in_a_crash_loop_is_unavailable(ask):
    """However well its worker looks in the 300 ms that it is up; Retry-After is when it may be over."""
    for path in ("/health/shop", "/health/shop/0"):
        response = ask(looping(pool("0"), ended=10.5), "GET", path)
        assert (response.status_code, response.headers["retry-after"]) == (503, "22")
        [reason] = response.json()["reasons"]
        assert reason.endswith(
            f"is in a crash loop: its workers keep ending: 7 in 30 s (7 by exit 3), see incident `{BLOCKING.id}`."
        )


def test_a_pool_of_which_most_workers_work_is_available(ask):
    """The one that keeps ending is not; with half of the places or more in the loop, none is left to rely on."""
    most = looping(pool("0", "1", "2"))
    assert ask(most, "GET", "/health/shop").status_code == 200
    assert ask(most, "GET", "/health/shop/0").status_code == 503
    assert ask(most, "GET", "/health/shop/1").status_code == 200
    half = looping(pool("0", "1"))
    assert ask(half, "GET", "/health/shop").status_code == 503
    assert ask(half, "GET", "/health/shop/1").status_code == 200


def test_who_is_caught_in_a_loop_says_nothing_of_the_others(ask):
    """A worker that is late while it starts, and ends again, takes no pool out of traffic."""
    (stuck,) = STUCK.workers
    three = replace(pool("0", "1", "2"), workers=(stuck, *pool("1", "2").workers))
    assert ask(looping(three), "GET", "/health/shop").status_code == 200


def test_a_loop_of_a_supervisor_alone_takes_all_its_workers_along(ask):
    """None of its places was named."""
    assert ask(looping(pool("0", "1"), caught=()), "GET", "/health/shop/1").status_code == 503


def test_a_crash_loop_that_was_over_a_moment_ago_still_counts(ask):
    """For `health.recovered_after`, like everything else."""
    response = ask(looping(pool("0"), "resolved", resolved_at=time.time() - 0.5), "GET", "/health/shop")
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert "kept ending until 0.5 s ago" in response.json()["reasons"][0]
    over = looping(pool("0"), "resolved", resolved_at=time.time() - 2.5)
    assert ask(over, "GET", "/health/shop").status_code == 200


def test_the_loop_of_another_target_is_none(ask):
    """Names tell them apart."""
    assert ask(looping(pool("0"), target="legacy"), "GET", "/health/shop").status_code == 200
