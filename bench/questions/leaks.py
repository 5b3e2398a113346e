"""Whether a rule tells leaks from what only looks like one: ours and others, over the same series."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from bench.baselines import BASELINES, FIXED_RATES
from bench.figures import Bar, Figure, share
from bench.leaks import HELD_OUT_SEED, SLOPES
from bench.lookalikes import EXTRA, PUBLISHED
from bench.questions.answer import Answer, Row
from bench.series import LEAKS
from bench.verdicts import ALONE, INSIDE, Outcome, at_once, judge_clean, judge_leak

QUESTION = "Does it tell a leak from what only looks like one?"
HOW = """
The same made series, which nothing was tuned on, given to each rule: look-alikes (warm-ups, caches that fill,
daily and weekly load, deploys, `max_requests` and the like), and leaks of 5, 2 and 1 % of the base an hour in
eight shapes. A leak counts as told within 48 hours of its beginning. The others are written anew from what is
published of them: a process of 80 to 200 MiB below a limit of 1 GiB, which no leak here meets in that time, so
what only promises to tell of that (`predict_linear`, a rate of 10 MB a minute) has nothing to tell.
[Leaks](leaks.md) has the whole table of the long bench, by class, and of real machines.
"""
EACH, QUICK_EACH = 20, 1
FALSE = "look-alikes alarmed"
OURS = {ALONE: "vitalsd, memory from outside alone", INSIDE: "vitalsd, with the heap's own account (probe)"}
BARS = {FALSE: Bar(1, "%")}


def ask(quick: bool) -> Answer:
    """Every rule over every series."""
    each = QUICK_EACH if quick else EACH
    kinds = (*PUBLISHED, *EXTRA)
    clean = at_once(judge_clean, [(HELD_OUT_SEED, kind, number) for kind in kinds for number in range(each)])
    jobs = [(HELD_OUT_SEED, kind, slope, number) for kind in LEAKS for slope in SLOPES for number in range(each)]
    leaks = at_once(judge_leak, jobs)
    by_slope = {slope: [one for job, one in zip(jobs, leaks, strict=True) if job[2] == slope] for slope in SLOPES}
    rows = [_row(name, who, clean, by_slope, ours=True) for who, name in OURS.items()]
    rows += [_row(name, name, clean, by_slope, ours=False) for name in (*BASELINES, *FIXED_RATES)]
    return Answer(
        rows, [f"{len(clean)} look-alikes of {len(kinds)} classes, {len(leaks)} leaks; seed {HELD_OUT_SEED}."]
    )


def _row(
    name: str, who: str, clean: Sequence[Outcome], by_slope: dict[float, list[Outcome]], *, ours: bool
) -> Row:
    alarmed = sum(bool(one.alarms[who]) for one in clean)
    figures: dict[str, Figure | str] = {FALSE: share(FALSE, alarmed, len(clean), BARS[FALSE] if ours else None)}
    for slope, outcomes in by_slope.items():
        delays = [delay for one in outcomes if (delay := one.delay(who)) is not None]
        told = f"{100 * len(delays) / len(outcomes):.0f} %"
        figures[f"{slope:.0%} an hour"] = f"{told}, after {median(delays):.1f} h" if delays else told
    return Row(name, figures, ours=ours)
