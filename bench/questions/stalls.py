"""How soon a stall is seen, and whether its cause and culprit are right; beside what others promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from bench.causes import STACK_WITHIN, play
from bench.figures import Bar, Figure
from bench.judged import Score
from bench.questions.answer import Answer, Row
from bench.scenarios import NODE, PYTHON, Runtime

QUESTION = "Does it see every stall, soon enough to have its stack?"
HOW = """
Programs that stall for a known cause and write down when and for how long (processor, sleep, disk, a lock, a
child process; in Node also a regex, a flood of `nextTick`), each beside an agent; what the agent tells is held
against what they wrote. Others are in the table with what their own source or documentation says of how soon
they look, for most see a stall when it is over or not at all: those were not run. `python -m bench causes` and
`causes_node` play all scenarios, with healthy controls: see
[incidents](incidents.md#how-often-the-cause-is-right).
"""
FOUND, LENGTH, CAUSE, CULPRIT, SOON = (
    *("stalls found", "error of the length, median", "cause right", "culprit right"),
    "from the stall's beginning to its stack",
)
BARS = {FOUND: {"probe": Bar(100, "%", at_least=True), "zero-touch": Bar(95, "%", at_least=True)}}
OURS = (
    ("Python, with the probe", PYTHON, "probe"),
    ("Python, from outside alone", PYTHON, "zero-touch"),
    ("Node, with the probe", NODE, "probe"),
    ("Node, from outside alone", NODE, "zero-touch"),
)
PLAYED: Mapping[str, Sequence[str]] = {
    PYTHON.interpreter: ("blocking_cpu", "blocking_sleep", "disk_io", "lock_wait"),
    NODE.interpreter: ("regex", "blocking_child", "disk_io", "nexttick_flood"),
}
STALLS, QUICK_STALLS = 3, 2
PEERS = {
    "N|Solid": "<= 300 ms (200 ms threshold, looked at each 100 ms); Node, its own build",
    "Sentry's event-loop block integration": "<= 1.5 s (1 s threshold, looked at each 0.5 s), one an hour; Node",
    "LiveKit's loop monitor": "from about 80 ms on; asyncio, in the process",
    "gunicorn": "30 s, and then the worker is aborted",
    "uvicorn's supervisor": "5 s, of a process; a blocked loop is not seen",
    "Watt": "30 s for each of 10 looks, then the worker is replaced; Node",
}
"""What their sources say, at the versions that were read."""


def ask(quick: bool) -> Answer:
    """Play a few scenarios of each runtime, both ways in."""
    rows = []
    for name, runtime, way in OURS:
        scores = _played(runtime, way, QUICK_STALLS if quick else STALLS)
        rows.append(Row(f"vitalsd, {name}", _figures(scores, way), ours=True))
    rows += [Row(name, {FOUND: "", SOON: told}) for name, told in PEERS.items()]
    return Answer(rows)


def _played(runtime: Runtime, way: str, stalls: int) -> list[Score]:
    scores = [play(runtime, scenario, way, stalls) for scenario in PLAYED[runtime.interpreter]]
    return [score for score in scores if score is not None]


def _figures(scores: Sequence[Score], way: str) -> dict[str, Figure | str]:
    truths, found = sum(score.truths for score in scores), sum(score.found for score in scores)
    errors = [error for score in scores for error in score.errors]
    ages = [age for score in scores for age in score.stack_ages]
    asked = sum(score.culprits_asked for score in scores)
    in_time = sum(score.stacks for score in scores)
    return {
        FOUND: Figure(f"{found} of {truths}", 100 * found / truths, "%", BARS[FOUND][way]),
        LENGTH: f"{1000 * median(errors):.1f} ms",
        CAUSE: f"{sum(score.causes for score in scores)} of {found}",
        CULPRIT: f"{sum(score.culprits for score in scores)} of {asked}",
        SOON: f"{1000 * median(ages):.0f} ms, at most {1000 * max(ages):.0f} ms; within "
        f"{1000 * STACK_WITHIN[way]:.0f} ms {in_time} of {sum(score.stacks_asked for score in scores)}",
    }
