"""A run against its limits: what exceeds, what is good, and what nobody can say."""

from __future__ import annotations

import msgspec
import pytest
from support.runs import delays, errors, grown, loop, process, run, stall

from vitalsd.budget.judge import judge
from vitalsd.budget.model import Check, Dropped, Limits, NotMeasured
from vitalsd.model import Frame

MIB = 2**20
STALL = Limits(max_stall_seconds=0.1)
P99 = Limits(p99_delay_seconds=0.2)


def only(limits: Limits, *processes: object, **more: object) -> Check:
    """The one check of a run."""
    (check,) = judge(run(*processes), limits, **more).checks  # type: ignore[arg-type]
    return check


def test_the_longest_stall_may_be_lost() -> None:
    """It is known by its length alone, and that is enough to exceed."""
    check = only(STALL, process(loop(stall(0.05), lost=1, lost_seconds=0.4, lost_at_most_seconds=0.4)))
    assert check.outcome == "exceeded"
    assert "was blocked for 0.40 s, where 100ms is allowed; by whom is not known" in check.sentence


def test_a_stall_that_was_lost_may_have_been_too_long() -> None:
    """One that is excused was longer, so how long it was is not known: nobody is accused, and it is not good."""
    excused = stall(3.0, pardon="the whole host stood still")
    check = only(STALL, process(loop(excused, lost=2, lost_at_most_seconds=0.4)))
    assert check.outcome == "unmeasured"
    assert check.sentence == "2 times a loop was blocked faster than it was read, for 0.40 s at most"
    assert only(STALL, process(loop(excused, lost=1, lost_at_most_seconds=0.09))).outcome == "good"


def test_a_stall_is_judged_by_what_is_its_own() -> None:
    """And told with how long it was by the clock: the rest is the host's."""
    late = msgspec.structs.replace(stall(2.1), own_seconds=0.4)
    check = only(STALL, process(loop(late)))
    assert (check.outcome, check.value) == ("exceeded", 0.4)
    assert (
        "was blocked for 0.40 s by itself (2.10 s by the clock: for the rest the host had it wait) by computation"
        in check.sentence
    )
    short = msgspec.structs.replace(stall(2.1), own_seconds=0.09)
    assert only(STALL, process(loop(short))).outcome == "good"
    assert only(P99, process(loop(short))).outcome == "good"


def test_stalls_that_are_not_kept_count() -> None:
    """However many there were: in the sentence, and in the percentile."""
    many = loop(stall(0.3), dropped=Dropped(over=9, over_seconds=1.8, beyond_seconds=0.9))
    assert "; 9 times more, 1.80 s in all;" in only(STALL, process(many)).sentence
    assert only(Limits(p99_delay_seconds=0.22), process(many)).outcome == "exceeded"


def test_the_longest_stall_is_blamed_with_its_culprit() -> None:
    """One sentence has who, how long, why, where, the limit, how often more, and what to do."""
    other = Frame("render", "/srv/app/pages.py", 3)
    check = only(STALL, process(loop(stall(0.3), stall(0.2, culprit=other), stall(0.15), stall(0.05))))

    assert check.sentence == (
        "`uvicorn app:app` (pid 7) was blocked for 0.30 s by computation in parse() (parsing.py:12), where 100ms "
        "is allowed; 2 times more, 0.35 s in all (in render() (pages.py:3), parse() (parsing.py:12)); "
        "move the work to a worker thread or process, or do it in slices."
    )
    assert (check.outcome, check.value, check.cause) == ("exceeded", 0.3, "blocking_cpu")
    assert check.culprit == Frame("parse", "/srv/app/parsing.py", 12)
    assert check.stacks[0]["samples"] == 3


def test_a_stall_of_just_the_limit_is_good() -> None:
    """Only what is beyond it exceeds."""
    assert only(STALL, process(loop(stall(0.1)))).outcome == "good"


def test_what_is_pardoned_exceeds_nothing() -> None:
    """Neither as a stall nor in the percentile."""
    pardoned = process(loop(stall(3.0, pardon="the whole host stood still")))
    assert only(STALL, pardoned).outcome == "good"
    assert only(P99, pardoned).outcome == "good"


def test_a_loop_of_a_thread_is_named() -> None:
    """With the name of its thread, which people have given."""
    check = only(STALL, process(loop(stall(0.3), name="loop-1")))
    assert "(pid 7), loop loop-1 (a thread), was blocked" in check.sentence


def test_one_that_had_not_come_back() -> None:
    """Its length is only known up to when it was seen last."""
    check = only(STALL, process(loop(stall(0.3, in_progress=True))))
    assert "had been blocked for 0.30 s when it was seen last by computation" in check.sentence


@pytest.mark.parametrize(
    ("limit", "stalls", "lost", "outcome"),
    [
        (0.1, [0.3], 0, "exceeded"),
        (0.25, [0.3], 1, "good"),
        (0.18, [0.3], 1, "exceeded"),
        (0.22, [0.3], 0, "good"),
        (0.22, [0.3], 1, "unmeasured"),
    ],
    ids=["below both", "above both", "between: over", "between: not", "between: not sure"],
)
def test_the_percentile_is_judged_by_bounds_and_between_them_by_stalls(
    limit: float, stalls: list[float], lost: int, outcome: str
) -> None:
    """0.3 s in 10 s: the 99th percentile is at 0.2 s, between the bounds 0.1 s and 0.25 s."""
    check = only(Limits(p99_delay_seconds=limit), process(loop(*map(stall, stalls), lost=lost)))
    assert check.outcome == outcome, check.sentence


def test_a_percentile_that_is_not_sure_is_told() -> None:
    """Also where another loop of the process is good: it makes 2, and says why."""
    unsure = loop(stall(0.3), lost=1)
    report = judge(run(process(unsure, loop(name="loop-1"))), Limits(p99_delay_seconds=0.22))
    assert report.exit_code == 2
    assert report.checks[0].sentence == (
        "the 99th percentile of the delay is between 100 ms and 250 ms, and on which side of 220ms is not known: "
        "once the loop was blocked faster than it was read"
    )


def test_the_percentile_tells_its_bounds_and_who_made_it() -> None:
    """Of all stalls the culprit that took most."""
    other = Frame("render", "/srv/app/pages.py", 3)
    check = only(P99, process(loop(stall(0.8, culprit=other), stall(0.5), stall(0.6))))

    assert (
        "the 99th percentile of the delay is between 500 ms and 1 s, where 200ms is allowed (501 samples)"
        in check.sentence
    )
    assert "most of it by computation in parse() (parsing.py:12) (2 times, 1.10 s in all)" in check.sentence


def test_growth_tells_what_was_measured() -> None:
    """And when."""
    check = only(Limits(max_growth_bytes=10 * MIB), process(growth=grown(50 * MIB, 80 * MIB)))
    assert check.outcome == "exceeded"
    assert check.value == 30 * MIB
    assert (
        "grew by 30.0 MiB, where 10MiB is allowed: its heap in use was 50.0 MiB 5.0 s after its start and "
        "80.0 MiB after 19.0 s" in check.sentence
    )


def test_growth_of_some_is_enough() -> None:
    """A child that was too young is told, and the rest is judged."""
    young = process(name="young", growth=NotMeasured("it was young", is_young=True))
    report = judge(run(young, process(growth=grown(5, 6))), Limits(max_growth_bytes=MIB))
    assert report.outcome == "good"
    assert [check.outcome for check in report.checks] == ["unmeasured", "good"]


def test_growth_of_none_is_not() -> None:
    """One check for all, with the first reason."""
    check = only(Limits(max_growth_bytes=MIB), process(growth=NotMeasured("it was young", is_young=True)))
    assert (check.outcome, check.process) == ("unmeasured", "")
    assert check.sentence == "the growth of no process could be measured: `uvicorn app:app`: it was young"


def test_growth_of_one_that_was_there_for_long_is_missed() -> None:
    """A helper beside it that was measured does not speak for the service, and it is no empty budget either."""
    unknown = process(name="node server.js", growth=NotMeasured("V8 made no full collection"))
    measured = process(name="helper", growth=grown(5, 6))
    for allow_empty in (False, True):
        report = judge(run(unknown, measured), Limits(max_growth_bytes=MIB), allow_empty=allow_empty)
        assert (report.outcome, report.exit_code) == ("unmeasured", 2)
        assert [check.process for check in report.unjudged] == ["node server.js"]
    left_out = process(name="node", growth=NotMeasured("no collection"), pardon="its command line does not match")
    assert judge(run(left_out, measured), Limits(max_growth_bytes=MIB)).exit_code == 0


@pytest.mark.parametrize(
    "limits",
    [STALL, P99, Limits(max_growth_bytes=MIB), Limits(max_errors=0)],
    ids=["stall", "p99", "growth", "errors"],
)
@pytest.mark.parametrize("allow_empty", [False, True])
def test_a_process_that_could_not_be_read_is_not_good(limits: Limits, allow_empty: bool) -> None:
    """Such as one whose probe has switched itself off: others that were read do not speak for it."""
    unread = process(name="b", errors=None, unread="its probe is off", growth=NotMeasured("its probe is off"))
    partly = process(loop(), name="c", unread="its probe is off", growth=grown(1, 2))
    fine = process(loop(), growth=grown(1, 2))
    for one in (unread, partly):
        report = judge(run(fine, one), limits, allow_empty=allow_empty)
        assert (report.outcome, report.exit_code) == ("unmeasured", 2)
        assert [(check.process, check.sentence) for check in report.unjudged] == [(one.name, "its probe is off")]


def test_what_was_read_of_a_process_may_still_exceed() -> None:
    """That its probe was off later takes nothing back."""
    report = judge(run(process(loop(stall(1.0)), unread="its probe is off")), STALL)
    assert (report.exit_code, report.unjudged) == (1, ())


def test_errors_that_are_not_told_are_not_good() -> None:
    """Nothing known of them is not the same as none."""
    assert only(Limits(max_errors=0), process(errors=None)).outcome == "unmeasured"
    assert judge(run(process(errors=None), process(name="b")), Limits(max_errors=0)).exit_code == 2


def test_errors_count_over_all_processes() -> None:
    """A thousand children with one each are a thousand."""
    report = judge(
        run(process(errors=(errors(2),)), process(name="b", errors=(errors(2, "loop"),))), Limits(max_errors=3)
    )
    assert [check.outcome for check in report.checks] == ["exceeded", "exceeded"]
    assert (
        "2 unhandled errors: task exceptions never retrieved (2, ValueError in parse() (parsing.py:12))"
        in report.checks[0].sentence
    )
    assert "(4 in all processes), where 3 is allowed" in report.checks[0].sentence


def test_errors_within_their_number() -> None:
    """Are good."""
    assert only(Limits(max_errors=2), process(errors=(errors(2),))).outcome == "good"


@pytest.mark.parametrize(
    "limits",
    [STALL, P99, Limits(max_growth_bytes=1), Limits(max_errors=0)],
    ids=["stall", "p99", "growth", "errors"],
)
def test_nobody_was_seen(limits: Limits) -> None:
    """That is not good, for no budget."""
    report = judge(run(), limits)
    assert (report.outcome, report.exit_code) == ("unmeasured", 2)
    allowed = judge(run(), limits, allow_empty=True)
    assert (allowed.outcome, allowed.exit_code) == ("unmeasured", 0)


def test_processes_without_a_loop() -> None:
    """Have no delay, but they have errors."""
    report = judge(run(process()), Limits(max_stall_seconds=1.0, max_errors=0))
    assert [check.outcome for check in report.checks] == ["unmeasured", "good"]


def test_processes_that_are_left_out() -> None:
    """Count for nothing, and say why where there is nobody else."""
    check = only(STALL, process(loop(stall(5.0)), pardon="it only starts others"))
    assert check.sentence == "no process was judged: `uvicorn app:app`: it only starts others"


@pytest.mark.parametrize(
    ("command", "stalls", "code"),
    [(0, [], 0), (0, [1.0], 1), (3, [], 3), (3, [1.0], 3), (137, [1.0], 137)],
)
def test_the_exit_code(command: int, stalls: list[float], code: int) -> None:
    """The command's own, where it fails; else 1 for what exceeds."""
    report = judge(run(process(loop(*map(stall, stalls))), exit_code=command), STALL)
    assert report.exit_code == code


def test_a_record_that_ended_early_is_not_good() -> None:
    """What was seen until then may still exceed."""
    assert judge(run(process(loop()), problem="it broke"), STALL).exit_code == 2
    assert judge(run(process(loop()), problem="it broke"), STALL, allow_empty=True).exit_code == 2
    assert judge(run(problem="it broke"), STALL, allow_empty=True).exit_code == 2
    assert judge(run(process(loop(stall(1.0))), problem="it broke"), STALL).exit_code == 1


def test_no_sample_is_no_percentile() -> None:
    """A loop that was over within 20 ms has none."""
    assert only(P99, process(loop(delay=delays(seconds=0.0)))).outcome == "unmeasured"
