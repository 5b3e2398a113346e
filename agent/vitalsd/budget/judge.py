"""
Holds a run against its limits: one check for each budget and process, of what exceeds it the culprit first.

Nobody is accused without proof, and nothing that was not seen is called good: a process that could not be judged
is `unmeasured`, and so is a budget for which there was nobody, unless that is allowed. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vitalsd.budget.delay import quantile_bounds, share_over
from vitalsd.budget.model import (
    Check,
    Dropped,
    Errors,
    Limits,
    LoopRun,
    NotMeasured,
    Outcome,
    ProcessRun,
    Report,
    Run,
    RunStall,
)
from vitalsd.detect.culprit import find_culprit, stacks_as_evidence
from vitalsd.detect.error_surge import WHAT
from vitalsd.detect.words import advice, by_cause, duration, place, times
from vitalsd.incidents.wording import sound
from vitalsd.model import Stack
from vitalsd.settings.units import format_duration, format_size

__all__ = ["EXCEEDED", "NOTHING", "NO_LOOP", "UNMEASURED", "judge"]

EXCEEDED, UNMEASURED = 1, 2
QUANTILE = 0.99
WORST_FIRST: tuple[Outcome, ...] = ("exceeded", "unmeasured", "good")
NEARLY = 0.9
"""Of a stall: what is told as its length without a word of the rest."""
MOST_CULPRITS = 3
"""That one sentence names."""
MIB = 2**20
LOOK_FURTHER = "see what holds it: `vitalsd run` the service, and `vitalsd capture memory`"
UNSEEN = "by whom is not known, since its stalls came faster than they were read"
NOTHING = "no process with the probe in it was seen"
NO_ERRORS = "its probe tells nothing of unhandled errors"
NO_LOOP = "no event loop ran in a process with the probe in it"


def judge(run: Run, limits: Limits, *, allow_empty: bool = False) -> Report:
    """What a run comes to. Whose command has failed keeps its code: that is what its owner looks for first."""
    judged = [process for process in run.processes if not process.pardon]
    checks: list[Check] = []
    for budget, limit, check, missing in _budgets(limits, judged):
        of_all = [one for process in judged for one in _of(process, budget, limit, check)]
        if not any(one.outcome != "unmeasured" or one.counts for one in of_all):
            of_all = [Check(budget, limit, "", "unmeasured", missing(run), counts=not allow_empty)]
        checks += of_all
    outcome = _outcome(run, checks)
    is_open = bool(run.problem) or any(check.outcome == "unmeasured" and check.counts for check in checks)
    own = EXCEEDED if outcome == "exceeded" else UNMEASURED if is_open else 0
    return Report(run, tuple(checks), outcome, run.exit_code or own)


def _of(
    process: ProcessRun, budget: str, limit: str, check: Callable[[ProcessRun], Iterator[Check]]
) -> list[Check]:
    """Of one process and budget: what was read of it may exceed, and is not enough to be good."""
    found = list(check(process))
    if process.unread and not any(one.outcome == "exceeded" for one in found):
        return [Check(budget, limit, process.name, "unmeasured", process.unread)]
    return found


def _outcome(run: Run, checks: list[Check]) -> Outcome:
    if any(check.outcome == "exceeded" for check in checks):
        return "exceeded"
    if run.problem or any(
        check.outcome == "unmeasured" and (check.counts or not check.process) for check in checks
    ):
        return "unmeasured"
    return "good"


Budget = tuple[str, str, Callable[[ProcessRun], Iterator[Check]], Callable[[Run], str]]


def _budgets(limits: Limits, judged: list[ProcessRun]) -> Iterator[Budget]:
    stall, p99, growth, errors = (
        limits.max_stall_seconds,
        limits.p99_delay_seconds,
        limits.max_growth_bytes,
        limits.max_errors,
    )
    if stall is not None:
        told = format_duration(stall)
        yield "max-stall", told, lambda process: _stalls(process, stall, told), _no_loop
    if p99 is not None:
        told_p99 = format_duration(p99)
        yield "p99-delay", told_p99, lambda process: _delays(process, p99, told_p99), _no_loop
    if growth is not None:
        told_growth = format_size(growth)
        yield "max-growth", told_growth, lambda process: _grown(process, growth, told_growth), _no_growth
    if errors is not None:
        total = sum(error.count for process in judged for error in process.errors or ())
        yield "max-errors", str(errors), lambda process: _failed(process, errors, total), _nobody


def _stalls(process: ProcessRun, limit: float, told: str) -> Iterator[Check]:
    loops = process.loops
    if not loops:
        return
    over = [(loop, stall) for loop in loops for stall in loop.stalls if not stall.pardon and stall.seconds > limit]
    lost = max(loops, key=lambda loop: loop.lost_seconds)
    if not over and lost.lost_seconds > limit:
        how_long = duration(lost.lost_seconds)
        sentence = f"{_who(process, lost)} was blocked for {how_long}, where {told} is allowed; {UNSEEN}."
        yield _exceeded("max-stall", told, process, sentence, lost.lost_seconds, None)
        return
    unread = max(loops, key=lambda loop: loop.lost_at_most_seconds)
    if not over and unread.lost_at_most_seconds > limit:
        longest_lost = duration(unread.lost_at_most_seconds)
        sentence = f"{times(unread.lost)} a loop was blocked faster than it was read, for {longest_lost} at most"
        yield Check("max-stall", told, process.name, "unmeasured", sentence)
        return
    if not over:
        longest = max((s.seconds for loop in loops for s in loop.stalls if not s.pardon), default=0.0)
        yield Check("max-stall", told, process.name, "good", f"no stall beyond {told}", longest or None)
        return
    loop, worst = max(over, key=lambda pair: pair[1].seconds)
    others = _others([stall for _, stall in over if stall is not worst], [loop.dropped for loop in loops])
    tense = "had been blocked" if worst.evidence.in_progress else "was blocked"
    so_far = " when it was seen last" if worst.evidence.in_progress else ""
    sentence = (
        f"{_who(process, loop)} {tense} for {_length(worst)}{so_far} {_by(worst)}, "
        f"where {told} is allowed{others}; {advice(worst.verdict.cause, process.runtime)}."
    )
    yield _exceeded("max-stall", told, process, sentence, worst.seconds, worst)


def _length(stall: RunStall) -> str:
    """What is judged; where the host made it much longer, how long that was."""
    whole = stall.evidence.seconds
    if stall.seconds > NEARLY * whole:
        return duration(stall.seconds)
    return (
        f"{duration(stall.seconds)} by itself ({duration(whole)} by the clock: for the rest the host had it wait)"
    )


def _others(stalls: list[RunStall], dropped: list[Dropped]) -> str:
    """The same once more, and other culprits by name."""
    count = len(stalls) + sum(one.over for one in dropped)
    if not count:
        return ""
    total = sum(stall.seconds for stall in stalls) + sum(one.over_seconds for one in dropped)
    named: dict[str, float] = {}
    for stall in stalls:
        if stall.verdict.culprit is not None:
            name = place(stall.verdict.culprit)
            named[name] = max(named.get(name, 0.0), stall.seconds)
    worst = sorted(named, key=lambda name: -named[name])[:MOST_CULPRITS]
    where = f" (in {', '.join(worst)})" if worst else ""
    return f"; {times(count)} more, {duration(total)} in all{where}"


def _delays(process: ProcessRun, limit: float, told: str) -> Iterator[Check]:
    """Of the loop that is worst by it."""
    found = [(bounds, loop) for loop in process.loops if (bounds := quantile_bounds(loop.delay, QUANTILE))]
    if not found:
        return
    outcomes = {loop.name: _by_percentile(loop, bounds, limit) for bounds, loop in found}
    outcome = next(one for one in WORST_FIRST if one in outcomes.values())
    (low, high), loop = max(
        (pair for pair in found if outcomes[pair[1].name] == outcome), key=lambda pair: pair[0]
    )
    samples = loop.delay.buckets[-1]
    between = f"above {_short(low)}" if high == float("inf") else f"between {_short(low)} and {_short(high)}"
    if outcome == "unmeasured":
        text = (
            f"the 99th percentile of the delay is {between}, and on which side of {told} is not known: "
            f"{times(loop.lost)} the loop was blocked faster than it was read"
        )
        yield Check("p99-delay", told, process.name, outcome, text)
        return
    if outcome == "good":
        said = f"at most {_short(high)}" if high <= limit else f"{between}, and not above {told}"
        text = f"the 99th percentile of the delay is {said} ({samples} samples)"
        yield Check("p99-delay", told, process.name, outcome, text, None if high == float("inf") else high)
        return
    judged = [stall for stall in loop.stalls if not stall.pardon]
    worst = max(_by_culprit(judged), key=_seconds_of, default=[])
    blamed = ""
    if worst:
        share = f"{times(len(worst))}, {duration(_seconds_of(worst))} in all"
        blamed = f"; most of it {_by(worst[0])} ({share}); {advice(worst[0].verdict.cause, process.runtime)}"
    sentence = (
        f"{_who(process, loop)} let 1 % of what it had to do wait too long: the 99th percentile of the delay is "
        f"{between}, where {told} is allowed ({samples} samples){blamed}."
    )
    yield _exceeded("p99-delay", told, process, sentence, low, worst[0] if worst else None)


def _by_percentile(loop: LoopRun, bounds: tuple[float, float], limit: float) -> Outcome:
    """Where the limit lies between two bounds of the histogram, stalls tell, if all of them are known."""
    low, high = bounds
    if not low < limit < high:
        return "exceeded" if low >= limit else "good"
    judged = [stall.seconds for stall in loop.stalls if not stall.pardon]
    if share_over(loop.delay, judged, limit, loop.dropped.beyond_seconds) > 1 - QUANTILE:
        return "exceeded"
    return "unmeasured" if loop.lost else "good"


def _by_culprit(stalls: list[RunStall]) -> list[list[RunStall]]:
    groups: dict[object, list[RunStall]] = {}
    for stall in stalls:
        culprit = stall.verdict.culprit
        key = (stall.verdict.cause, culprit and culprit.file, culprit and culprit.function)
        groups.setdefault(key, []).append(stall)
    return list(groups.values())


def _seconds_of(stalls: list[RunStall]) -> float:
    return sum(stall.seconds for stall in stalls)


def _grown(process: ProcessRun, limit: int, told: str) -> Iterator[Check]:
    growth = process.growth
    if isinstance(growth, NotMeasured):
        counts = not growth.is_young
        yield Check("max-growth", told, process.name, "unmeasured", growth.reason, counts=counts)
        return
    measured = (
        f"its {growth.what} was {_mib(growth.before_bytes)} {growth.before_seconds:.1f} s after its start and "
        f"{_mib(growth.after_bytes)} after {growth.after_seconds:.1f} s"
    )
    if growth.grown_bytes <= limit:
        yield Check("max-growth", told, process.name, "good", measured, float(growth.grown_bytes))
        return
    sentence = (
        f"{_who(process)} grew by {_mib(growth.grown_bytes)}, where {told} is allowed: {measured}; {LOOK_FURTHER}."
    )
    yield Check("max-growth", told, process.name, "exceeded", sentence, float(growth.grown_bytes))


def _failed(process: ProcessRun, limit: int, total: int) -> Iterator[Check]:
    if process.errors is None:
        yield Check("max-errors", str(limit), process.name, "unmeasured", NO_ERRORS)
        return
    if not process.errors:
        yield Check("max-errors", str(limit), process.name, "good", "no unhandled error", 0.0)
        return
    count = sum(error.count for error in process.errors)
    kinds = ", ".join(f"{WHAT[error.channel][0]} ({error.count}{_of_type(error)})" for error in process.errors)
    told = f"{count} unhandled {'error' if count == 1 else 'errors'}: {kinds}"
    if total <= limit:
        yield Check("max-errors", str(limit), process.name, "good", told, float(count))
        return
    most = max(process.errors, key=lambda error: (bool(error.frames), error.count))
    stacks = (Stack(1, most.frames),) if most.frames else ()
    culprit = find_culprit(stacks)
    in_all = f" ({total} in all processes)" if total != count else ""
    sentence = f"{_who(process)} had {told}{in_all}, where {limit} is allowed; {WHAT[most.channel][1]}."
    yield Check(
        "max-errors",
        str(limit),
        process.name,
        "exceeded",
        sound(sentence),
        float(count),
        culprit=culprit.frame if culprit is not None else None,
        stacks=tuple(stacks_as_evidence(stacks)),
    )


def _of_type(error: Errors) -> str:
    """What the one that was looked at last was."""
    culprit = find_culprit((Stack(1, error.frames),)) if error.frames else None
    where = f" in {place(culprit.frame)}" if culprit is not None else ""
    return f", {error.type}{where}" if error.type else where


def _exceeded(
    budget: str, limit: str, process: ProcessRun, sentence: str, value: float, worst: RunStall | None
) -> Check:
    if worst is None:
        return Check(budget, limit, process.name, "exceeded", sound(sentence), value)
    evidence = worst.evidence
    return Check(
        budget,
        limit,
        process.name,
        "exceeded",
        sound(sentence),
        value,
        worst.verdict.cause,
        worst.verdict.culprit,
        tuple(stacks_as_evidence(evidence.holder_stacks or evidence.stacks)),
    )


def _who(process: ProcessRun, loop: LoopRun | None = None) -> str:
    of_a_thread = f", loop {loop.name} ({loop.thread})," if loop is not None and loop.name != "main" else ""
    return f"`{process.name}` (pid {process.pid}){of_a_thread}"


def _by(stall: RunStall) -> str:
    culprit = stall.verdict.culprit
    return by_cause(stall.verdict.cause) + (f" in {place(culprit)}" if culprit is not None else "")


def _short(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if seconds < 1 else f"{seconds:g} s"


def _mib(size: float) -> str:
    return f"{size / MIB:.1f} MiB"


def _nobody(run: Run) -> str:
    pardoned = [process for process in run.processes if process.pardon]
    if not pardoned:
        return NOTHING
    others = f", and {len(pardoned) - 1} more" if len(pardoned) > 1 else ""
    return f"no process was judged: `{pardoned[0].name}`: {pardoned[0].pardon}{others}"


def _no_loop(run: Run) -> str:
    return NO_LOOP if any(not process.pardon for process in run.processes) else _nobody(run)


def _no_growth(run: Run) -> str:
    reasons = [
        f"`{process.name}`: {process.growth.reason}"
        for process in run.processes
        if not process.pardon and isinstance(process.growth, NotMeasured)
    ]
    return f"the growth of no process could be measured: {reasons[0]}" if reasons else _nobody(run)
