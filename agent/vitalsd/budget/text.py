"""
A report for people: what exceeds its budget and who did it, first of all; of a good run nothing.

All of it may hold what services have named, so no line of it is a command to whoever reads it: not to a terminal,
nor to GitHub or Azure, which take lines that begin with `::`, or have `##[` anywhere, for theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from vitalsd.budget.judge import NO_LOOP, NOTHING
from vitalsd.budget.model import Check, ProcessRun, Report
from vitalsd.detect.culprit import callback
from vitalsd.detect.words import duration
from vitalsd.incidents.wording import sound
from vitalsd.model import Frame, Stack

__all__ = ["harmless", "lines"]

MOST_EXCEEDED = 20
MOST_MISSING = 20
MOST_FRAMES = 12
SETUP = (
    "The probe comes by PYTHONPATH and NODE_OPTIONS, and what starts with an environment of its own (tox, "
    "`python -I`) does without: put `vitalsd budget` inside of that, or say --allow-empty."
)
LEAVE_OUT = "A process that is nobody's service is left out by --match."


def lines(report: Report, *, verbose: bool = False) -> Iterator[str]:
    """What goes to standard error, line by line."""
    for line in _lines(report, verbose):
        yield harmless(line)


def harmless(line: str) -> str:
    """One line that no reader takes for a command."""
    return sound_line(line).replace("##", "# #")


def sound_line(line: str) -> str:
    """With its indentation."""
    bare = line.lstrip(" ")
    return " " * (len(line) - len(bare)) + sound(bare)


def _lines(report: Report, verbose: bool) -> Iterator[str]:
    exceeded = report.of("exceeded")
    for check in exceeded[:MOST_EXCEEDED]:
        yield f"vitalsd: over budget (--{check.budget} {check.limit}): {check.sentence}"
        yield from _stack(check)
    if len(exceeded) > MOST_EXCEEDED:
        yield f"vitalsd: {len(exceeded) - MOST_EXCEEDED} more are over budget: --json has all of them"
    missing = [check for check in report.of("unmeasured") if check.counts or not check.process]
    for check in missing[:MOST_MISSING]:
        whose = f" of `{check.process}`" if check.process else ""
        yield f"vitalsd: --{check.budget} {check.limit} could not be judged{whose}: {check.sentence}."
    if len(missing) > MOST_MISSING:
        yield f"vitalsd: {len(missing) - MOST_MISSING} more could not be judged: --json has all of them"
    if any(check.sentence in (NOTHING, NO_LOOP) for check in report.unjudged):
        yield f"vitalsd: {SETUP}"
    if any(check.process for check in missing):
        yield f"vitalsd: {LEAVE_OUT}"
    if report.run.problem:
        yield f"vitalsd: {report.run.problem}."
    for process in report.run.processes:
        for problem in process.problems:
            yield f"vitalsd: `{process.name}` (pid {process.pid}): {problem}"
    if verbose:
        yield from _figures(report)
    yield from _verdict(report)


def _stack(check: Check) -> Iterator[str]:
    """The one that was seen most, up to the loop; no line begins with a name, which may be anything."""
    if not check.stacks:
        return
    frames = callback(
        Stack(1, tuple(Frame(**one) for one in cast("list[dict[str, Any]]", check.stacks[0]["frames"])))
    )
    for frame in frames[:MOST_FRAMES]:
        yield f"    at {frame.function} ({frame.file}:{frame.line})"
    if len(frames) > MOST_FRAMES:
        yield f"    and {len(frames) - MOST_FRAMES} frames further out"


def _figures(report: Report) -> Iterator[str]:
    for check in report.checks:
        if check.process and check.outcome != "exceeded":
            word = "good" if check.outcome == "good" else "not measured"
            yield f"vitalsd: {word} (--{check.budget} {check.limit}): `{check.process}`: {check.sentence}"
    for process in report.run.processes:
        if process.pardon:
            yield f"vitalsd: left out: `{process.name}`: {process.pardon}"
        yield from _pardoned(process)


def _pardoned(process: ProcessRun) -> Iterator[str]:
    for loop in process.loops:
        for stall in loop.stalls:
            if stall.pardon:
                seconds = duration(stall.evidence.seconds)
                yield f"vitalsd: left out: `{process.name}` was blocked for {seconds}: {stall.pardon}"


def _verdict(report: Report) -> Iterator[str]:
    """How the exit code came about, where it is not 0; and what a good run has left out of account."""
    code = report.run.exit_code
    exceeded = report.of("exceeded")
    if code and exceeded:
        budgets = "a budget is exceeded" if len(exceeded) == 1 else f"{len(exceeded)} budgets are exceeded"
        yield f"vitalsd: the command itself failed with {code}, which is kept; {budgets} as well"
    elif code:
        judged = "no budget is exceeded" if report.outcome == "good" else "not all budgets could be judged"
        yield f"vitalsd: the command itself failed with {code}; {judged}"
    elif exceeded:
        over = f"{len({check.process for check in exceeded})} of {len(report.run.processes)} processes"
        yield f"vitalsd: the command ended with 0, and {over} went over budget: exit code {report.exit_code}"
    elif report.exit_code:
        yield f"vitalsd: the command ended with 0, and was not judged by all budgets: exit code {report.exit_code}"
