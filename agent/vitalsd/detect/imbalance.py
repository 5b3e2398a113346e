"""
Finds `imbalance`: one worker of a pool has all the work while the others rest, or none while they are full.

From how much each has worked in the last `workers.imbalance_window` and in the one before: the time its loop was
busy where one is seen, else its processor time. Only a worker that is full can make anybody wait, so a pool with
little to do is never told, however uneven it is: whoever wakes last is the first to be woken again. Who is too
young for both windows is left out, and the others are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vitalsd.detect.ends import fired_in, nothing_in
from vitalsd.detect.registry import Judgement, SeenTarget, register_for_target
from vitalsd.detect.words import duration, percent
from vitalsd.history.work import Load
from vitalsd.model import Finding, Supervisor, SupervisorKind
from vitalsd.settings.model import Settings

__all__ = ["ImbalanceDetector"]

KIND = "imbalance"
FULL = 0.8
"""Of a core, or of the time of its loop: what comes now waits."""
TIMES = 2.5
"""Of its fair share."""
RESTING = 0.3
"""Others that do no more than that could take some of it."""
RESTING_ALONE = 0.1
"""In a pool of two, where nobody can have 2.5 times a fair share."""
NOTHING = 0.05
TAKE_MORE: tuple[SupervisorKind, ...] = ("gunicorn", "uvicorn", "hypercorn", "node_cluster")
"""Whose workers take connections while they are at work. Others take one thing at a time: those may be long."""
ALIKE: tuple[SupervisorKind, ...] = (*TAKE_MORE, "uwsgi", "celery")
"""Whose workers all do the same."""


@register_for_target
class ImbalanceDetector:
    """The rule `imbalance`."""

    kind = KIND

    def __init__(self, settings: Settings) -> None:
        self._window = settings.workers.imbalance_window

    def judge(self, seen: SeenTarget) -> Sequence[Judgement]:
        """One for each worker that it concerns, or one for the target."""
        return [fired_in(finding) for finding in self._findings(seen)] or [self._nothing(seen)]

    def is_quiet(self, seen: SeenTarget) -> bool:
        """Where there is no pool of workers that are alike, there is nothing."""
        above = seen.latest.supervisor
        return above is None or above.kind not in ALIKE

    def _nothing(self, seen: SeenTarget) -> Judgement:
        target = seen.latest
        up = [worker.slot for worker in target.workers if worker.up]
        above = target.supervisor
        if above is None or len(up) < 2:
            return nothing_in(KIND, seen, "", "unavailable", "there is no pool whose workers could be compared")
        if above.kind not in ALIKE:
            reason = f"nobody knows whether the children of {_kind(above)} ought to do the same"
            return nothing_in(KIND, seen, "", "unavailable", reason)
        if seen.silences:
            return nothing_in(KIND, seen, "", "watching", "one of them shows no life, see `worker_hung`")
        old, young = _by_age(seen, up)
        if len(old) < 2:
            need = f"two must have lived for {2 * self._window:g} s, to be compared"
            told = f"{need}, and of {len(up)} workers {len(old) or 'none'} has"
            return nothing_in(KIND, seen, "", "watching", told)
        most = max(_amount(seen.loads[slot][0]) for slot in old)
        told = f"the busiest of {len(old)} was at work for {percent(most)} of the last {self._window:g} s"
        left_out = f"; too young to be judged: {', '.join(young)}" if young else ""
        return nothing_in(KIND, seen, "", "quiet", told + left_out)

    def _findings(self, seen: SeenTarget) -> list[Finding]:
        above = seen.latest.supervisor
        old, _ = _by_age(seen, [worker.slot for worker in seen.latest.workers if worker.up])
        if above is None or above.kind not in ALIKE or len(old) < 2 or seen.silences:
            return []
        now = {slot: _amount(seen.loads[slot][0]) for slot in old}
        before = {slot: _amount(seen.loads[slot][1]) for slot in old}
        found = []
        for slot in old:
            if _takes_more(above) and _has_all(now, slot) and _has_all(before, slot):
                found.append(self._finding(seen, slot, now, before, has_all=True))
            elif _has_none(now, slot) and _has_none(before, slot):
                found.append(self._finding(seen, slot, now, before, has_all=False))
        return found

    def _finding(
        self,
        seen: SeenTarget,
        slot: str,
        now: Mapping[str, float],
        before: Mapping[str, float],
        *,
        has_all: bool,
    ) -> Finding:
        others = [amount for other, amount in now.items() if other != slot]
        whole = sum(now.values())
        share = now[slot] / whole if whole else 0.0
        who = f"Worker {slot} of `{seen.latest.name}`"
        held = duration(2 * self._window)
        most = "the other one was" if len(others) == 1 else f"none of the {len(others)} others was"
        if has_all:
            than = percent(max(others)) if len(others) == 1 else f"more than {percent(max(others))}"
            summary = (
                f"{who} has been at work for {percent(now[slot])} of the time for {held} and does "
                f"{percent(share)} of the pool's work, while {most} for {than}: what reaches it waits; look for "
                "connections that stay with one worker (keep-alive, WebSockets, a proxy with few of them), or for "
                "work that only this one does."
            )
        else:
            summary = (
                f"{who} has had next to nothing to do for {held} ({percent(now[slot])} of the time), while all "
                f"others were full, at least {percent(min(others))}: the pool is a worker short; see its stack "
                "for what it waits for, and whether it takes connections at all."
            )
        return Finding(
            kind=KIND,
            target=seen.latest.name,
            worker=slot,
            severity="warning" if has_all else "info",
            at=seen.now,
            started_at=seen.now - 2 * self._window,
            summary=summary,
            evidence={
                "share": round(share, 3),
                "fair_share": round(1 / len(now), 3),
                "window_seconds": self._window,
                "busy_shares": {each: round(amount, 3) for each, amount in now.items()},
                "busy_shares_before": {each: round(amount, 3) for each, amount in before.items()},
                "cores": {each: round(seen.loads[each][0].cores, 3) for each in now},
                "too_young": [each.slot for each in seen.latest.workers if each.up and each.slot not in now],
                "told_by": {each: "loop" if seen.loads[each][0].busy is not None else "cpu" for each in now},
            },
        )


def _by_age(seen: SeenTarget, up: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of whom both windows are known, and the others."""
    return [slot for slot in up if slot in seen.loads], [slot for slot in up if slot not in seen.loads]


def _amount(load: Load) -> float:
    """How full it was: its loop where one is seen, since a thread that computes beside it makes nobody wait."""
    return load.busy if load.busy is not None else load.cores


def _takes_more(above: Supervisor) -> bool:
    return above.kind in TAKE_MORE and (above.worker_class or "").lower() != "sync"


def _has_all(amounts: Mapping[str, float], slot: str) -> bool:
    own = amounts[slot]
    others = sorted(amount for other, amount in amounts.items() if other != slot)
    if own < FULL:
        return False
    if len(others) == 1:
        return others[0] <= RESTING_ALONE
    fair = (own + sum(others)) / len(amounts)
    return own > TIMES * fair and others[len(others) // 2] <= RESTING


def _has_none(amounts: Mapping[str, float], slot: str) -> bool:
    others = [amount for other, amount in amounts.items() if other != slot]
    return amounts[slot] <= NOTHING and len(others) >= 2 and min(others) >= FULL


def _kind(above: Supervisor) -> str:
    return "a plain parent" if above.kind == "plain" else f"`{above.kind}`"
