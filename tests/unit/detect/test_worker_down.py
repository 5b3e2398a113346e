"""When the end of a worker is an incident, and when it is what somebody wanted."""

from __future__ import annotations

import pytest
from unit.detect.ends import Pool

from vitalsd.detect.worker_down import WorkerDownDetector
from vitalsd.model import Supervisor, WorkerKey


def pool(**more):
    """A service that has run for an hour."""
    return Pool(WorkerDownDetector, **more).live(3600)


QUIET = {
    "nobody has ended": pool,
    "a worker is asked to end": lambda: pool().restart("0", "graceful"),
    "max_requests": lambda: pool().restart("0", "graceful", code=0, signal=None),
    "the remedy": lambda: pool().restart("0", "recycled"),
    "TTOU": lambda: pool().end("1", "graceful"),
    "TTIN": lambda: pool().start("2"),
    "a rolling restart": lambda: pool().restart("0", "graceful", 1.0).live(5).restart("1", "graceful", 1.0),
    "HUP": lambda: pool().start("2").start("3").live(1).end("0", "graceful").end("1", "graceful"),
    "a deploy": lambda: pool().end("0", "graceful").end("1", "graceful").end("", "graceful", code=0, signal=None),
    "a stop whose patience ends": lambda: pool().end("0", "signal").live(0.1).end("", "graceful", code=0),
    "a container that is stopped": lambda: pool().end("", "graceful").end("0", "signal").end("1", "signal"),
    "a celery that is stopped": lambda: (
        pool(kind="celery").end("0", "signal").live(0.8).end("1", "error", code=1).live(3).end("", "graceful")
    ),
    "a multiprocessing that is stopped": lambda: (
        pool(kind="multiprocessing").end("0", "graceful").end("1", "error").live(0.2).end("", "graceful")
    ),
    "killed for memory": lambda: pool().restart("0", "oom_kill"),
    "gunicorn has fewer, nobody knows why": lambda: pool().end("0", "unknown"),
    "all are gone, nobody knows why": lambda: (
        pool().end("0", "unknown").end("1", "unknown").end("", "unknown", evidence="no right to read it")
    ),
}


@pytest.mark.parametrize("seconds", [0.0, 1.1, 60.0, 3600.0])
@pytest.mark.parametrize("name", QUIET)
def test_never_for_what_was_wanted(name, seconds):
    """Nor for what is told by another rule, or cannot be known."""
    assert QUIET[name]().live(seconds).found() == []


@pytest.mark.parametrize("reason", ["error", "signal", "timeout"])
def test_an_end_out_of_order_is_told_once_it_is_replaced(reason):
    """At once when somebody is there, for half a minute."""
    one = pool().restart("1", reason, 0.02)
    assert one.told() == [("1", "warning")]
    assert one.live(25).told() == [("1", "warning")]
    assert one.live(10).told() == []


def test_without_a_successor_it_is_told_when_the_supervisor_goes_on():
    """A stop takes less than a second, from the last worker to the supervisor."""
    one = pool().end("1", "signal")
    assert one.live(0.9).told() == []
    assert one.live(0.2).told() == [("1", "warning")]


def test_celery_takes_longer_to_stop():
    """It kills some of its own meanwhile."""
    one = pool(kind="celery").end("1", "signal")
    assert one.live(4).told() == []
    assert one.live(2).told() == [("1", "warning")]


def test_a_place_that_nobody_takes_is_critical():
    """After `workers.down_after`, and for as long as it is so."""
    one = pool().end("1", "signal").live(9.9)
    assert one.told() == [("1", "warning")]
    for seconds in (0.2, 60, 36_000):
        assert one.live(seconds).told() == [("1", "critical")]
    assert one.start("1").told() == []


def test_it_is_told_by_what_is_known_of_it():
    """The process, how it ended, after how long, and who follows."""
    (finding,) = pool().restart("1", "error", 0.25, code=3).found()
    assert finding.summary == (
        "Worker 1 of `shop` (pid 11) exited with 3 after 1 h 0 min; pid 12 took its place after 0.25 s: see what "
        "it has logged last."
    )
    assert finding.evidence["exit"] == {
        "slot": "1",
        "pid": 11,
        "ended_at": finding.at,
        "reason": "error",
        "code": 3,
        "signal": None,
        "lived_seconds": 3600.0,
        "told_by": "none",
        "evidence": "so it was",
    }
    assert (finding.evidence["replaced_by"], finding.evidence["replaced_after_seconds"]) == (12, 0.25)


@pytest.mark.parametrize(
    ("reason", "how", "words"),
    [
        (
            "signal",
            {},
            "was ended by SIGKILL after 1 h 0 min; pid 12 took its place at once: find out who kills it",
        ),
        (
            "signal",
            {"signal": "SIGSEGV"},
            "was ended by SIGSEGV after 1 h 0 min; pid 12 took its place at once: nat",
        ),
        (
            "signal",
            {"signal": "SIGABRT", "heap_limit_bytes": 64 << 20},
            "was ended by V8 at its heap limit of 64 MiB, most likely (SIGABRT), after 1 h 0 min; pid 12 took",
        ),
        ("timeout", {"signal": "SIGABRT"}, "its supervisor has ended it for its silence, see `worker_hung`"),
    ],
)
def test_what_to_do_depends_on_how_it_ended(reason, how, words):
    """One sentence, with advice."""
    (finding,) = pool().restart("1", reason, **how).found()
    assert words in finding.summary


def test_the_critical_one_says_where_to_look():
    """In the supervisor's log, if there is one."""
    (finding,) = pool().end("1", "signal").live(20).found()
    assert finding.summary == (
        "Worker 1 of `shop` was ended by SIGKILL after 1 h 0 min; nobody has taken its place, and 1 of its "
        "workers runs; see the log of its supervisor (gunicorn, pid 5)."
    )
    assert (finding.evidence["workers_up"], finding.evidence["down_seconds"]) == (1, 20.0)
    assert finding.started_at == finding.at - 20


def test_a_service_of_one_process():
    """It is its own worker, and nobody is above it."""
    one = pool(workers=1, kind=None).end("0", "error").live(20)
    (finding,) = one.found()
    assert finding.severity == "critical"
    assert finding.summary.endswith("none of its workers runs; start the service again, and see its log.")
    assert one.start("0").live(20).told() == []


def test_a_service_that_has_died_is_one_incident():
    """Of its supervisor: the workers that have ended out of order with it are not told besides."""
    one = pool().end("0", "signal").end("1", "graceful").live(0.5).end("", "error", code=247, signal=None)
    assert one.live(2).told() == [("", "warning"), ("0", "warning")]
    assert one.live(10).told() == [("", "critical")]
    assert one.states()["0"] == ("watching", "its supervisor is gone, which is told of the target")
    one.supervisor = Supervisor("gunicorn", WorkerKey(50, 9_000_000), "python master")
    assert one.start("0").start("1").live(30).told() == []


def test_a_supervisor_that_ends_because_a_worker_has_failed():
    """As hypercorn does, with 0: the worker that was first is told, and that nobody follows."""
    one = pool(kind="hypercorn").end("1", "signal").live(0.004).end("0", "graceful").live(0.05)
    one.end("", "graceful", code=0, signal=None)
    assert one.live(2).told() == [("1", "warning")]
    assert one.live(10).told() == [("1", "critical")]


def test_a_supervisor_that_was_killed():
    """Its workers end in order, and are missed all the same."""
    one = pool().end("", "signal").live(0.2).end("0", "graceful").end("1", "graceful")
    assert one.live(12).told() == [("", "critical")]
    assert "The supervisor of `shop` was ended by SIGKILL after" in one.found()[0].summary


def test_who_adopts_the_workers_has_not_taken_the_place():
    """Init is older, and no gunicorn; a master of before that goes on is one."""
    one = pool().end("", "signal").live(12)
    one.supervisor = Supervisor("plain", WorkerKey(1, 1), "init")
    (finding,) = one.found()
    assert (finding.worker, finding.severity) == ("", "critical")
    assert "2 of its workers run; start the service again" in finding.summary
    one.supervisor = Supervisor("gunicorn", WorkerKey(4, 900), "python master")
    assert one.told() == [("", "warning")]


def test_an_end_of_minutes_ago_is_not_told_when_the_supervisor_dies():
    """Somebody had taken that place: who dies now is the supervisor, and its workers go with it."""
    one = pool().restart("0", "timeout", 1.0, signal="SIGABRT").live(300).end("", "signal")
    one.seats = {"0": None, "1": None}  # they live on for a moment, and are nobody's workers
    assert one.live(2).told() == [("", "warning")]
    (finding,) = one.live(10).found()
    assert (finding.worker, finding.severity) == ("", "critical")
    assert "nobody has taken its place, and none of its workers runs" in finding.summary


def test_an_end_that_nobody_can_tell_is_a_warning_where_nothing_explains_it():
    """Where the parent does not replace by itself and others still run."""
    one = pool(kind="multiprocessing").end("1", "unknown", evidence="no right to read it")
    assert one.live(5).told() == []
    assert one.live(10).told() == [("1", "warning")]
    told = (
        "it ended, nobody knows how, 15.0 s ago and has no successor: gunicorn replaces whoever it misses, so it "
        "was told to have fewer, as far as can be known"
    )
    assert one.becomes("gunicorn").states()["1"] == ("unavailable", told)


def test_a_crash_loop_is_told_as_one():
    """While it goes on, and its ends afterwards; a place that stays empty is told when it is over."""
    one = pool()
    for _ in range(5):
        one.restart("0", "error").live(0.5)
    assert one.told() == []
    one.end("0", "error").live(12)
    assert one.told() == []
    assert one.states()["0"][0] == "watching"
    assert one.live(30).told() == [("0", "critical")]


def test_nothing_is_told_of_what_was_before_the_agent():
    """A place that was empty already has no end."""
    one = pool()
    one.seats["1"] = None
    assert one.live(100).found() == []
    assert one.states()["1"] == ("quiet", "its worker went before this agent has watched it")


def test_rules_say_why_nothing_is_told():
    """Of each place."""
    one = pool().restart("0", "graceful", code=0, signal=None).end("1", "signal").live(0.5)
    assert one.states() == {
        "0": ("quiet", "the last one exited with 0 after 1 h 0 min, graceful: so it was"),
        "1": ("watching", "it was ended by SIGKILL 0.50 s ago and has no successor; told after 10 s"),
    }
