"""
Evidence as it is kept: plain values of a bounded size, and what repeated findings add up to.

A finding brings what its detector saw, stacks of a process that nobody here wrote among it. So text is cut and
made sound, lists are cut, and all together has a budget: no service can make an incident of it that weighs more.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from vitalsd.incidents.wording import sound

__all__ = ["bounded", "longest_seconds", "merged"]

MOST_STALLS = 10
"""The latest that an incident shows; all of them are counted."""
SAME_SECONDS = 0.015
"""Below the shortest threshold, so no two stalls of a loop begin as near to each other."""
MOST_STACKS = 5
MOST_FRAMES = 50
"""The innermost ones: what is blocked, and who called it."""
MOST_ITEMS = 100
MOST_DEPTH = 8
TEXT = 500
BUDGET = 40_000
"""Characters, as JSON has them: about four stacks as deep as they may be."""
LISTS = {"stalls": MOST_STALLS, "stacks": MOST_STACKS, "frames": MOST_FRAMES}


def bounded(evidence: Mapping[str, object]) -> dict[str, object]:
    """`evidence` as dicts, lists, text, numbers and nothing else, cut down to what an incident may weigh."""
    return _Bound(BUDGET).mapping(evidence, MOST_DEPTH)


def merged(before: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, object], int]:
    """
    Put what a further finding has seen to what is known, and say how many stalls it brought that were not.

    The latest says how it is now, so it replaces; stalls alone add up. A stall is told again when it has ended: it
    is the one that began at the same time. A finding about something else than stalls counts as one, and one that
    stands for more stalls than it lists says so by its `count`. One that says `since` when it has been so is the
    same one for as long as that is.
    """
    evidence = {**before, **new}
    if _of_a_lesser(before, new):
        evidence |= {name: before[name] for name in ("stacks", "stacks_of")}
    if evidence.get("stacks") or ("stacks" in new and "no_stack_reason" not in new):
        evidence.pop("no_stack_reason", None)  # it was said of other stacks than these
    if any(name.startswith("growing_") for name in new) and "no_census_reason" not in new:
        evidence.pop("no_census_reason", None)
    if "stalls" not in new:
        goes_on = "since" in new and new["since"] == before.get("since")
        return evidence, 0 if goes_on else 1
    stalls = [stall for stall in before.get("stalls", ()) if isinstance(stall, dict)]
    count = _count(before) or len(stalls)
    told = [stall for stall in new["stalls"] if isinstance(stall, dict)]
    fresh = max(0, _count(new) - len(told))
    for stall in told:
        # What has fallen off the list is not looked for: nothing is told again after ten others have begun.
        same = next((index for index, known in enumerate(stalls) if _is_same(known, stall)), None)
        if same is None:
            stalls.append(stall)
            fresh += 1
        else:
            stalls[same] = stall
    evidence["stalls"] = stalls[-MOST_STALLS:]
    evidence["count"] = count + fresh
    return evidence, fresh


def _of_a_lesser(before: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the stacks that are known are those of a longer stall than any that is told now."""
    of_which = before.get("stacks_of")
    known = of_which.get("duration_seconds") if isinstance(of_which, dict) else None
    longest = longest_seconds(new)
    if not before.get("stacks") or not isinstance(known, int | float) or longest is None:
        return False
    told = new.get("stacks_of")
    seconds = told.get("duration_seconds") if isinstance(told, dict) else longest
    return isinstance(seconds, int | float) and seconds < known


def longest_seconds(evidence: Mapping[str, Any]) -> float | None:
    """The duration of the longest stall that evidence tells of, if it tells of any."""
    stalls = [stall for stall in evidence.get("stalls", ()) if isinstance(stall, dict)]
    durations = [stall.get("duration_seconds") for stall in stalls]
    return max((float(each) for each in durations if isinstance(each, int | float)), default=None)


def _is_same(known: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether both are of one worker and began at the same time, as near as two clocks can be compared twice."""
    if known.get("worker") != told.get("worker"):
        return False
    one, other = _began(known), _began(told)
    return one is not None and other is not None and abs(one - other) <= SAME_SECONDS


def _began(stall: Mapping[str, Any]) -> float | None:
    started_at = stall.get("started_at")
    if isinstance(started_at, str):
        try:
            return datetime.fromisoformat(started_at).timestamp()
        except (ValueError, OverflowError):
            return None
    return float(started_at) if isinstance(started_at, int | float) else None


def _count(evidence: Mapping[str, Any]) -> int:
    count = evidence.get("count", 0)
    return count if isinstance(count, int) else 0


class _Bound:
    def __init__(self, budget: int) -> None:
        self._left = budget

    def mapping(self, values: Mapping[Any, object], depth: int) -> dict[str, object]:
        kept: dict[str, object] = {}
        for name, value in islice(values.items(), MOST_ITEMS):
            if self._left <= 0:
                break
            kept[self._text(str(name))] = self._value(value, depth - 1, str(name))
        return kept

    def _value(self, value: object, depth: int, name: str) -> object:
        if isinstance(value, msgspec.Struct):
            value = {field: getattr(value, field) for field in value.__struct_fields__}
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool | int | float):
            self._left -= 8
            return value
        if depth > 0 and isinstance(value, Mapping):
            return self.mapping(value, depth)
        if depth > 0 and isinstance(value, list | tuple | set | frozenset):
            return self._items(list(value), depth, name)
        return self._text(repr(value))

    def _items(self, values: list[object], depth: int, name: str) -> list[object]:
        most = LISTS.get(name, MOST_ITEMS)
        # Of stalls the latest are wanted, which come last.
        values = values[-most:] if name == "stalls" else values[:most]
        kept: list[object] = []
        for value in values:
            if self._left <= 0:
                break
            kept.append(self._value(value, depth - 1, ""))
        return kept

    def _text(self, text: str) -> str:
        kept = sound(text[:TEXT])
        self._left -= len(kept) + 4
        return sys.intern(kept)  # stacks of one service name the same files and functions again and again
