"""What the rule `stall` finds, and what it says when it finds nothing."""

from __future__ import annotations

import msgspec
import pytest
from unit.detect.evidence import stall, thread

from vitalsd.detect import registry
from vitalsd.detect.cause import decide
from vitalsd.detect.registry import Seen, find_all, judge_all, make_detectors
from vitalsd.detect.stall import StallBounds, StallDetector, find
from vitalsd.detect.words import place
from vitalsd.incidents.evidence import merged
from vitalsd.incidents.lifecycle import Incidents
from vitalsd.model import (
    Frame,
    Histogram,
    HostEvidence,
    ObservedLoop,
    RuleState,
    Stack,
    StallInProgress,
    Verdict,
    WorkerKey,
    WorkerSample,
)
from vitalsd.settings.model import Settings
from vitalsd.settings.model import Stall as StallSettings

NOON = 1_782_907_200.0  # 2026-07-01T12:00:00Z
DB = Frame("ask_database", "/srv/db.py", 12)
CALL = Verdict("blocking_call", DB, "30 of 31 looks found it asleep")
CPU = Verdict("blocking_cpu", Frame("parse", "/srv/c.py", 3), "its thread computed")


def told(seconds: float, verdict: Verdict = CALL, started_at: float = NOON, **known: object):
    """One stall as a detector gets it."""
    return (stall(seconds, **known), verdict, started_at)


def sample(at: float = NOON, **known: object) -> WorkerSample:
    """A worker whose loop is seen from outside."""
    loop = known.pop("observed", ObservedLoop(Histogram((0.1,), (5, 5), 0.0), 0.0, 0.0, 1.0, 0, 0.0, None, 10))
    fields = {"up": True, "lag_source": "observer", "observed": loop, **known}
    return WorkerSample("shop", "0", WorkerKey(10, 1), at, command="", process=None, probe=None, **fields)


@pytest.mark.parametrize(
    ("runtime", "advice"), [("python", "freeze those that stay (gc.freeze)"), ("node", "--max-old-space-size")]
)
def test_advice_is_of_the_runtime(runtime, advice) -> None:
    """Nobody is told to use what only the other runtime has."""
    collected = Verdict("gc_pause", None, "the garbage collector ran")
    (finding,) = find("shop", "0", [told(0.6, collected, runtime=runtime)], StallBounds())
    assert advice in finding.summary


def test_one_finding(ask_database) -> None:
    """One stall is one finding that somebody on call can act on."""
    evidence = stall(1.2, thread=thread({"sleep": 30, "running": 1}), stacks=ask_database)
    (finding,) = find("shop", "0", [(evidence, decide(evidence), NOON)], StallBounds())
    assert finding.summary == (
        "Worker 0 of `shop` was blocked for 1.20 s by a blocking call in ask_database() (db.py:12); "
        "use an asynchronous client, or move the call to a thread."
    )
    assert (finding.kind, finding.severity, finding.cause, finding.culprit) == (
        "stall",
        "critical",
        "blocking_call",
        DB,
    )
    assert (finding.started_at, finding.at) == (NOON, NOON + 1.2)
    assert finding.evidence["stalls"] == [
        {"started_at": "2026-07-01T12:00:00.000Z", "duration_seconds": 1.2, "cause": "blocking_call"}
    ]
    assert finding.evidence["count"] == 1
    assert finding.evidence["loop"] == "main"
    assert finding.evidence["reason"] == "30 of 31 looks found it asleep in ask_database()"
    assert finding.evidence["stacks"][0]["frames"][0] == {
        "function": "ask_database",
        "file": "/srv/db.py",
        "line": 12,
    }
    assert msgspec.json.encode(finding)


def test_by_cause_and_culprit() -> None:
    """Stalls of one culprit are one finding, whatever the line; another culprit is another."""
    moved = Verdict("blocking_call", Frame("ask_database", "/srv/db.py", 19), "")
    stalls = [told(0.2), told(0.3, CPU, NOON + 1), told(0.4, moved, NOON + 2)]
    slow, busy = find("shop", "0", stalls, StallBounds())
    assert (slow.evidence["count"], busy.evidence["count"]) == (2, 1)
    assert slow.summary.startswith(
        "Worker 0 of `shop` was blocked for 0.40 s by a blocking call in ask_database() (db.py:19), "
        "and once more, 0.60 s in all;"
    )
    assert slow.place != busy.place


@pytest.mark.parametrize(
    ("seconds", "severity"), [(0.099, None), (0.1, "warning"), (0.499, "warning"), (0.5, "critical")]
)
def test_severity(seconds: float, severity: str | None) -> None:
    """From the threshold on it warns; a long one is critical."""
    found = find("shop", "0", [told(seconds)], StallBounds())
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_what_was_no_stall() -> None:
    """A loop that turned all the time has not stalled."""
    assert find("shop", "0", [told(9.0, Verdict("unknown", None, "", stall=False))], StallBounds()) == []


def test_latest_few() -> None:
    """The latest ten are listed, all are counted."""
    (finding,) = find("shop", "0", [told(0.2, started_at=NOON + n) for n in range(25)], StallBounds())
    assert finding.evidence["count"] == 25
    assert [one["started_at"][17:19] for one in finding.evidence["stalls"]] == [f"{n}" for n in range(15, 25)]


def test_in_progress_on_another_loop() -> None:
    """A stall that goes on is told as one, with the loop that it is on."""
    evidence = msgspec.structs.replace(stall(0.7, in_progress=True), loop="loop-2")
    (finding,) = find("shop", "3", [(evidence, Verdict("unknown", None, ""), NOON)], StallBounds())
    assert finding.summary == (
        "Worker 3 of `shop`, loop loop-2, has been blocked for 0.70 s so far for a reason that could not be told; "
        "see the evidence."
    )


LATE = StallInProgress(0.0, 0.3, ())
TURNING = told(3.2, Verdict("unknown", None, "its stacks disagree", stall=False))
STATES = {
    "fired": (Seen("shop", "0", NOON, [sample()], [told(0.2)]), "Worker 0 of `shop` was blocked for 0.20 s"),
    "quiet": (
        Seen("shop", "0", NOON, [sample()], quiet_since=NOON - 60),
        "no stretch beyond 100 ms was seen since 2026-07-01 11:59:00 UTC",
    ),
    "watching": (
        Seen("shop", "0", NOON, [sample()], [TURNING]),
        "a stretch of 3.20 s was no stall: its stacks disagree",
    ),
    "unavailable": (
        Seen("shop", "0", NOON, [sample(observed=None, missing={"observed": "it needs CAP_SYS_PTRACE"})]),
        "no event loop is seen: it needs CAP_SYS_PTRACE",
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_states(state: str) -> None:
    """The rule says why it has fired, or why not."""
    seen, reason = STATES[state]
    judged = StallDetector(Settings()).judge(seen).state
    assert (judged.rule, judged.target, judged.worker, judged.state) == ("stall", "shop", "0", state)
    assert judged.reason.startswith(reason)


def test_what_stacks_would_have_told() -> None:
    """Without the permission to take them a busy loop may never be found to stall: the rule says so."""
    nobody_knows = Verdict("unknown", None, "no stack was taken", stall=False)
    unseen = told(3.2, nobody_knows, no_stack_reason="it needs CAP_SYS_PTRACE")
    state = StallDetector(Settings()).judge(Seen("shop", "0", NOON, [sample()], [unseen])).state
    assert state.reason == "a stretch of 3.20 s was no stall: no stack was taken (it needs CAP_SYS_PTRACE)"


def test_late_right_now() -> None:
    """While a loop is late and nothing is decided yet, the rule says so."""
    loop = msgspec.structs.replace(sample().observed, current_stall=LATE)
    state = StallDetector(Settings()).judge(Seen("shop", "0", NOON, [sample(observed=loop)])).state
    assert (state.state, state.reason) == ("watching", "a loop is late by 0.30 s, its evidence is being taken")


def test_bounds_of_the_configuration() -> None:
    """`stall.threshold` and `stall.critical` decide."""
    detector = StallDetector(Settings(stall=StallSettings(threshold=0.25, critical=2.0)))
    seen = Seen("shop", "0", NOON, [sample()], [told(0.2), told(1.0, started_at=NOON + 1)])
    (finding,) = detector.judge(seen).findings
    assert (finding.severity, finding.evidence["count"]) == ("warning", 1)


def test_detectors_are_registered_and_isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each detector is there once; one that fails costs the others nothing."""

    class Failing:
        kind = "leak"

        def __init__(self, settings: Settings) -> None:
            pass

        def judge(self, _seen: Seen):
            raise ValueError("no")

        is_quiet = judge

    kinds = [detector.kind for detector in make_detectors(Settings())]
    assert len(kinds) == len(set(kinds))
    assert {"stall", "starvation", "leak"} <= set(kinds)
    monkeypatch.setattr(registry, "_factories", [Failing, *registry._factories])
    failed, *others = judge_all(make_detectors(Settings()), STATES["fired"][0])
    assert failed.state == RuleState("leak", "shop", "0", "unavailable", "this detector failed: ValueError: no")
    assert {judgement.state.state for judgement in others} >= {"fired"}
    assert [finding.kind for finding in find_all(make_detectors(Settings()), STATES["fired"][0])] == ["stall"]
    assert find_all(make_detectors(Settings()), STATES["quiet"][0]) == []


def test_why_there_is_no_stack() -> None:
    """Of the latest that could have had one; where one of them has stacks, nobody asks."""
    refused = [told(0.3, CALL, NOON + n, no_stack_reason=why) for n, why in enumerate(("late", "denied", None))]
    (finding,) = find("shop", "0", refused, StallBounds())
    assert (finding.evidence["stacks"], finding.evidence["no_stack_reason"]) == ([], "denied")
    seen = told(0.3, CALL, NOON + 9, stacks=(Stack(1, (DB,)),))
    (finding,) = find("shop", "0", [*refused, seen], StallBounds())
    assert len(finding.evidence["stacks"]) == 1
    assert "no_stack_reason" not in finding.evidence
    (finding,) = find("shop", "0", [told(0.3)], StallBounds())
    assert "no_stack_reason" not in finding.evidence


def judged(target: str, seconds: float) -> registry.Judgement:
    """What the rule makes of one stall of a target."""
    seen = Seen(target=target, worker="0", samples=(sample(),), now=NOON, stalls=(told(seconds),))
    return StallDetector(Settings()).judge(seen)


def test_a_small_stall_of_the_agent_s_own_wakes_nobody() -> None:
    """It is counted; the same of a service is told, and so is a long one of the agent's."""
    assert judged("vitalsd", 0.3).findings == ()
    assert judged("vitalsd", 0.3).state.state == "quiet"
    assert len(judged("shop", 0.3).findings) == 1
    (finding,) = judged("vitalsd", 0.6).findings
    assert finding.severity == "critical"


def waited(seconds: float, cpu: float, **known: object):
    """One that had no processor, of which its thread has used so much."""
    seen = thread({"running": 10}, seconds=seconds, cpu=cpu / seconds, runq=0.9)
    evidence = stall(seconds, thread=seen, **known)
    return evidence, decide(evidence), NOON


def test_a_loaded_host_is_one_finding_of_the_target() -> None:
    """Whichever worker it is, and whichever of the two causes its stall has: an incident of theirs together."""
    late = msgspec.structs.replace(waited(0.6, 0.05)[0], host=HostEvidence(agent_late_seconds=0.5))
    both = [waited(0.3, 0.05), (late, decide(late), NOON + 1)]
    found = [finding for slot in "0123" for finding in find("shop", slot, both, StallBounds())]
    assert [finding.place for finding in found] == [("shop", "", "host", "", "", "")] * 4
    assert {finding.worker for finding in found} == {""}
    assert found[0].summary == (
        "Workers of `shop` wait for a loaded host: worker 0 was blocked for 0.60 s while the whole host stood "
        "still, and once more, 0.90 s in all; look at the host: steal time, suspension, or its load."
    )
    (incident,) = Incidents().take(found, NOON + 1)
    assert incident.count == 8
    assert {(one["worker"], one["cause"]) for one in incident.evidence["stalls"]} == {
        (slot, cause) for slot in "0123" for cause in ("cpu_contention", "host_wide")
    }


@pytest.mark.parametrize(
    ("seconds", "cpu", "known", "told"),
    [
        (0.3, 0.0005, {}, False),
        (0.3, 0.003, {}, True),
        (0.6, 0.0005, {}, True),
        (0.3, 0.0005, {"ready_callbacks": 2}, True),
        (0.3, 0.0005, {"ready_callbacks": 1}, False),
        (0.3, 0.0005, {"cpu_seconds": 0.004}, True),
    ],
)
def test_a_loop_with_nothing_to_do_kept_nobody_waiting(seconds, cpu, known, told) -> None:
    """While it is late for less than what is critical, and known to have had nothing but its own timers."""
    stalls = [waited(seconds, cpu, **known)]
    assert stalls[0][1].cause == "cpu_contention"
    assert bool(find("shop", "0", stalls, StallBounds())) is told
    state = StallDetector(Settings()).judge(Seen("shop", "0", NOON, [sample()], stalls)).state
    assert state.state == ("fired" if told else "watching")


@pytest.mark.parametrize(("seconds", "told"), [(4.9, False), (5.1, True)])
def test_the_agent_on_a_loaded_host(seconds, told) -> None:
    """Its own lateness is no second incident beside that of the services, unless it is long."""
    for verdict in (Verdict("cpu_contention", None, ""), Verdict("unknown", None, "")):
        assert bool(find("vitalsd", "0", [(stall(seconds), verdict, NOON)], StallBounds())) is told
    assert find("vitalsd", "0", [(stall(0.7), CPU, NOON)], StallBounds())
    lock = Verdict("lock_wait", DB, "")
    for pressure, alone in ((0.4, True), (0.9, told)):
        own = stall(seconds, cpu_seconds=0.01, host=HostEvidence(cpu_pressure_share=pressure))
        assert bool(find("vitalsd", "0", [(own, lock, NOON)], StallBounds())) is alone


def seen_in(function: str) -> tuple[Stack, ...]:
    """Four samples of one function of the service's."""
    return (Stack(4, (Frame(function, "/srv/shop.js", 40),)),)


def test_a_loaded_host_says_where_the_loop_waited() -> None:
    """Where stacks agree; it is no culprit."""
    host = Verdict("cpu_contention", None, "it had to wait")
    [finding] = find("shop", "0", [told(1.04, host, stacks=seen_in("renderReport"))], StallBounds())
    assert finding.summary.endswith("; most often seen in renderReport() (shop.js:40).")
    assert finding.culprit is None
    apart = tuple(stack for name in "abc" for stack in seen_in(name))
    [finding] = find("shop", "0", [told(1.04, host, stacks=apart)], StallBounds())
    assert "most often" not in finding.summary


@pytest.mark.parametrize(
    ("used", "part"), [(0.64, ", which had a processor for 0.64 s of it"), (1.5, ""), (None, "")]
)
def test_a_computation_that_waited_says_how_much_of_it_was_one(used, part) -> None:
    """On a crowded host most of a stall may be others' doing, and the rest is still too long."""
    [finding] = find("shop", "0", [told(2.01, CPU, cpu_seconds=used, thread=None)], StallBounds())
    begin = "Worker 0 of `shop` was blocked for 2.01 s by computation in parse() (c.py:3)"
    assert finding.summary.startswith(f"{begin}{part}; ")


def test_the_stacks_of_the_worst_come_first() -> None:
    """And stay there when shorter stalls come later, with more samples of somebody else."""
    worst, later = told(1.11, stacks=seen_in("worst")), told(0.2, started_at=NOON + 5, stacks=seen_in("later") * 3)
    [finding] = find("shop", "0", [worst, later], StallBounds())
    of_which = {"started_at": "2026-07-01T12:00:00.000Z", "duration_seconds": 1.11}
    assert [stack["frames"][0]["function"] for stack in finding.evidence["stacks"]] == ["worst", "later"]
    assert finding.evidence["stacks_of"] == of_which
    first, second = (find("shop", "0", [each], StallBounds())[0].evidence for each in (worst, later))
    evidence, _ = merged(first, second)
    assert (evidence["stacks"][0]["frames"][0]["function"], evidence["stacks_of"]) == ("worst", of_which)
    evidence, _ = merged(second, first)
    assert evidence["stacks"][0]["frames"][0]["function"] == "worst"


@pytest.mark.parametrize(
    ("file", "known"),
    [
        ("/srv/node_modules/body-parser/lib/read.js", "body-parser/lib/read.js"),
        ("/srv/node_modules/a/node_modules/@b/c/x.js", "@b/c/x.js"),
        ("/usr/lib/python3.11/site-packages/jinja2/environment.py", "jinja2/environment.py"),
        ("/srv/node_modules/a/" + "b" * 200 + "/x.js", "x.js"),
        ("/srv/shop.js", "shop.js"),
    ],
)
def test_a_file_of_a_package_is_told_with_the_package(file: str, known: str) -> None:
    """`read.js` alone tells nobody whose it is."""
    assert place(Frame("(anonymous:134)", file, 203)) == f"(anonymous:134) ({known}:203)"
